"""The options of a generation request, checked, under the names of the wire."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.tasks.generation.grammars import Form

ON_THE_WIRE = {"grammar": "response_format", "prompt_logprobs": "echo"}
"""The request's fields of options that have another name here."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The request's wishes for the thought before an answer. ``None``: the request has no wish."""

    on: bool | None = None
    effort: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Values of the chat template's variables, by name."""
    field: str = ""
    """The request's field that holds the switch or the effort."""
    apart: bool = True
    """Whether the thought is separated from the text. False leaves it in the text, with its marks."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """The parameters of one completion request, with OpenAI's defaults; ``None``: the request leaves it out."""

    max_tokens: int | None = None
    """None: as many tokens as the context holds. 0 is allowed only with ``prompt_logprobs``."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    """None: no log-probabilities. n: those of the chosen token and of the n likeliest tokens."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    min_tokens: int = 0
    ignore_eos: bool = False
    grammar: Form | None = None
    """The form that the text must have."""
    prompt_logprobs: bool = False
    """Also return log-probabilities of the prompt's tokens, as many as ``logprobs`` asks for."""

    thinking_budget: int | None = None
    """The most tokens of thought, after which the engine closes the thought. 0: no thought. None: no limit."""
    reasoning: Reasoning = Reasoning()
    left: frozenset[str] = frozenset()
    """Names of sampling parameters that the request leaves out; they take the model makers' recommended values."""

    def asked(self) -> set[str]:
        """Names of the parameters that differ from their defaults and that an engine must have in its ``honours``."""
        default = GenerationOptions()
        names = {name for name in self.__slots__ if getattr(self, name) != getattr(default, name)}
        return (
            names
            - {"max_tokens", "n", "reasoning", "left"}
            - ({"thinking_budget"} if not self.thinking_budget else set())
        )


def recommendations(sampling: Mapping[str, float], honours: Collection[str]) -> dict[str, Any]:
    """The model makers' recommended sampling parameters, without those that the model's engine does not honour."""
    return {
        name: int(value) if name == "top_k" else float(value) for name, value in sampling.items() if name in honours
    }
