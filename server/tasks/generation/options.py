"""What a client may ask of a generator, checked and named as on the wire."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.tasks.generation.grammars import Form

ON_THE_WIRE = {"grammar": "response_format", "prompt_logprobs": "echo"}
"""Names that clients know under another one."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a request asks of the thought before an answer. ``None``: nothing."""

    on: bool | None = None
    effort: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Of the chat template, by name."""
    field: str = ""
    """What the request calls the switch or the effort."""
    apart: bool = True
    """False: the thought is left in the text, with its marks."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """The parameters of one completion request. Defaults are OpenAI's; ``None`` means not given."""

    max_tokens: int | None = None
    """None: as many as the context holds; 0 only with ``prompt_logprobs``."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    """None: none; n: the chosen token's log-probability and those of the n likeliest."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    min_tokens: int = 0
    ignore_eos: bool = False
    grammar: Form | None = None
    """What the text must obey."""
    prompt_logprobs: bool = False
    """Tell the log-probabilities of the prompt's tokens too, as ``logprobs`` says."""

    thinking_budget: int | None = None
    """At most so many tokens of thought, which is closed then; 0: none."""
    reasoning: Reasoning = Reasoning()
    left: frozenset[str] = frozenset()
    """Parameters of sampling that the request says nothing of: the model's makers may have recommended values."""

    def asked(self) -> set[str]:
        """Names of the parameters that differ from their defaults, as engines' ``honours`` name them."""
        default = GenerationOptions()
        names = {name for name in self.__slots__ if getattr(self, name) != getattr(default, name)}
        return (
            names
            - {"max_tokens", "n", "reasoning", "left"}
            - ({"thinking_budget"} if not self.thinking_budget else set())
        )


def recommendations(sampling: Mapping[str, float], honours: Collection[str]) -> dict[str, Any]:
    """What a model's makers recommend, as far as its engine can follow it."""
    return {
        name: int(value) if name == "top_k" else float(value) for name, value in sampling.items() if name in honours
    }
