"""The parameters of generation that chat, completions and responses share.

How tokens are chosen; and how much is thought before the answer, in the words of several servers.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from models.cards import SAMPLING
from server.api.schemas.base import MAX_ID, RequestBody, invalid
from server.api.schemas.inert import HINTS, ROUTING, SAMPLERS, STREAM, TEMPLATE, THINKING, THOUGHTS
from server.tasks.generation.options import Reasoning

MAX_STOPS = 16
"""Four are OpenAI's limit; other local servers have none, and completions of code come with a dozen."""

StopString = Annotated[str, Field(min_length=1, max_length=1000)]
Stop = StopString | Annotated[list[StopString], Field(min_length=1, max_length=MAX_STOPS)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class StreamOptions(RequestBody):
    """The extra information that a stream sends."""

    inert: ClassVar = STREAM

    include_usage: bool = Field(
        False, description="Send one more chunk at the end, with the tokens of the whole request.", examples=[True]
    )
    continuous_usage_stats: bool = Field(
        False, description="Send the tokens so far in every chunk (an extension).", examples=[False]
    )


class SamplingBody(RequestBody):
    """How tokens are chosen and when a completion ends."""

    inert: ClassVar = {**HINTS, **THINKING, **THOUGHTS, **TEMPLATE, **SAMPLERS, **ROUTING}

    temperature: float = Field(
        1.0, ge=0, le=2, description="Randomness; 0 always takes the likeliest token.", examples=[0.7]
    )
    top_p: float = Field(
        1.0, gt=0, le=1, description="Choose among the likeliest tokens that make up this probability.", examples=[0.9]
    )
    top_k: int = Field(
        0, ge=-1, le=MAX_ID, description="Choose among so many of the likeliest tokens; 0 or -1: all (an extension).",
        examples=[40],
    )  # fmt: skip
    min_p: float = Field(
        0.0, ge=0, le=1, description="Leave out tokens less likely than this share of the likeliest (an extension).",
        examples=[0.05],
    )  # fmt: skip
    repetition_penalty: float = Field(
        1.0, ge=0.01, le=10, description="Above 1: tokens that occurred already are less likely (an extension).",
        examples=[1.1],
    )  # fmt: skip
    repeat_penalty: float | None = Field(
        None, ge=0.01, le=10, description="llama.cpp's name of `repetition_penalty`.", examples=[1.1]
    )
    presence_penalty: float = Field(
        0.0, ge=-2, le=2, description="Subtracted once from the logits of tokens made already.", examples=[0.5]
    )
    frequency_penalty: float = Field(
        0.0, ge=-2, le=2, description="Subtracted from a token's logit for each time it was made.", examples=[0.5]
    )
    logit_bias: dict[str, Bias] = Field(
        default_factory=dict,
        description="Added to the logits of token ids; -100 bans a token.",
        examples=[{"42": -100}],
    )
    seed: int | None = Field(
        None, ge=-(2**63), le=2**63 - 1, description="The same request with the same seed gives the same text.",
        examples=[7],
    )  # fmt: skip
    stop: Stop | None = Field(
        None, description="Up to 16 strings at which a completion ends; they are not part of it.", examples=[["\n"]]
    )
    min_tokens: int = Field(
        0, ge=0, le=MAX_ID, description="Do not end before so many tokens (an extension).", examples=[8]
    )
    ignore_eos: bool = Field(
        False, description="Go on to the token limit, whatever the model wants (an extension).", examples=[False]
    )
    stream: bool = Field(False, description="Send the answer as server-sent events as it is made.", examples=[True])
    stream_options: StreamOptions | None = Field(None, description="Only with `stream`: what it also tells.")
    user: str | None = Field(None, description="Accepted and not used.", examples=["u-1"])

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def bias(self) -> dict[int, float]:
        """The bias of each token id.

        Raises:
            PydanticCustomError: a key is no token id.
        """
        for key in self.logit_bias:
            if not (key.isascii() and key.isdigit() and len(key) < 11 and int(key) <= MAX_ID):
                raise invalid("logit_bias", "the keys must be token ids, as strings of digits")
        return {int(key): value for key, value in self.logit_bias.items()}

    def sampling(self) -> dict[str, Any]:
        """How tokens are chosen, as options name it, and what of it the request leaves to the model."""
        said = set(self.model_fields_set) | ({"repetition_penalty"} if self.repeat_penalty is not None else set())
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": max(0, self.top_k),
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty if self.repeat_penalty is None else self.repeat_penalty,
            "left": frozenset(SAMPLING) - said,
        }

    def check_sampling(self) -> None:
        """Check what one field alone cannot.

        Raises:
            PydanticCustomError: fields do not go together.
        """
        self.bias()
        if self.repeat_penalty is not None and self.repetition_penalty not in (1.0, self.repeat_penalty):
            raise invalid("repeat_penalty", "differs from repetition_penalty; send one of them")
        if self.stream_options is not None and not self.stream:
            raise invalid("stream_options", "only goes with 'stream': true")


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Budget = Annotated[int, Field(ge=-1, le=MAX_ID)]
BUDGET = "At most so many tokens of thought; 0: none, -1: as many as the model likes"
OTHER = "Another name of"


class ReasoningOptions(RequestBody):
    """OpenRouter's and OpenAI's way to say it."""

    inert: ClassVar = {"context": ("auto",), "generate_summary": (), "mode": ("standard",), "summary": ("auto",)}

    effort: Effort | None = Field(None, description="As `reasoning_effort`.", examples=["low"])
    enabled: bool | None = Field(None, description="As `enable_thinking`.", examples=[False])
    max_tokens: Budget | None = Field(None, description="As `thinking_budget`.", examples=[256])
    exclude: bool = Field(False, description="Think, and do not tell the thought.", examples=[False])


class ThinkingOptions(RequestBody):
    """Anthropic's way to say it."""

    inert: ClassVar = {"clear_thinking": (False, True)}

    type: Literal["enabled", "disabled"] | None = Field(
        None, description="As `enable_thinking`.", examples=["disabled"]
    )
    budget_tokens: Budget | None = Field(None, description="As `thinking_budget`.", examples=[256])


class ThinkingBody(RequestBody):
    """The fields of a body that concern thoughts."""

    enable_thinking: bool | None = Field(
        None,
        description="Whether to think before the answer, where the model's template has a switch.",
        examples=[False],
    )
    enable_reasoning: bool | None = Field(None, description=f"{OTHER} `enable_thinking`.", examples=[False])
    think: bool | Effort | None = Field(
        None, description="`enable_thinking` or `reasoning_effort`, by Ollama's name.", examples=[False]
    )
    thinking: ThinkingOptions | None = Field(None, description="The same, by Anthropic's name.")
    reasoning: ReasoningOptions | None = Field(None, description="The same, by OpenRouter's and OpenAI's name.")
    reasoning_effort: Effort | None = Field(
        None,
        description="How much to think: `none` does not; the others go to the template, or turn its switch on.",
        examples=["none"],
    )
    thinking_budget: Budget | None = Field(None, description=f"{BUDGET} (an extension).", examples=[256])
    thinking_budget_tokens: Budget | None = Field(None, description=f"{OTHER} `thinking_budget`.", examples=[256])
    thinking_token_budget: Budget | None = Field(None, description=f"{OTHER} `thinking_budget`.", examples=[256])
    reasoning_budget: Budget | None = Field(None, description=f"{OTHER} `thinking_budget`.", examples=[256])
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Variables of the model's chat template.", examples=[{"enable_thinking": False}]
    )
    include_reasoning: bool = Field(True, description="False: think, and do not tell the thought.", examples=[True])
    separate_reasoning: bool = Field(
        True, description="False: the thought stays in the content, with its marks.", examples=[True]
    )
    reasoning_format: Literal["none", "auto", "deepseek"] = Field(
        "auto", description="`none`: as `separate_reasoning` false.", examples=["auto"]
    )

    @property
    def tells_thoughts(self) -> bool:
        """Whether thoughts are part of the answer."""
        return self.include_reasoning and not (self.reasoning is not None and self.reasoning.exclude)

    def budget(self) -> int | None:
        """The most tokens of thought.

        Raises:
            PydanticCustomError: two fields say two things.
        """
        said = {
            "thinking_budget": self.thinking_budget,
            "thinking_budget_tokens": self.thinking_budget_tokens,
            "thinking_token_budget": self.thinking_token_budget,
            "reasoning_budget": self.reasoning_budget,
            "thinking.budget_tokens": self.thinking.budget_tokens if self.thinking is not None else None,
            "reasoning.max_tokens": self.reasoning.max_tokens if self.reasoning is not None else None,
        }
        budget = _one(said)[1]
        return None if budget == -1 else budget

    def thought(self) -> Reasoning:
        """The thinking options of the request, besides the budget.

        Raises:
            PydanticCustomError: two fields say two things.
        """
        kind = self.thinking.type if self.thinking is not None else None
        name, on = _one({
            "enable_thinking": self.enable_thinking,
            "enable_reasoning": self.enable_reasoning,
            "think": self.think if isinstance(self.think, bool) else None,
            "thinking": None if kind is None else kind == "enabled",
            "reasoning.enabled": self.reasoning.enabled if self.reasoning is not None else None,
            # OpenRouter's budget asks for a thought, too.
            "reasoning.max_tokens": True if self.reasoning is not None and self.reasoning.max_tokens else None,
        })  # fmt: skip
        level, effort = _one({
            "reasoning_effort": self.reasoning_effort,
            "reasoning.effort": self.reasoning.effort if self.reasoning is not None else None,
            "think": self.think if isinstance(self.think, str) else None,
        })  # fmt: skip
        if on is not None and effort is not None and on == (effort == "none"):
            raise invalid(level, f"differs from '{name}'")
        apart = self.separate_reasoning and self.reasoning_format != "none"
        return Reasoning(on, effort, self.chat_template_kwargs or {}, name or level, apart)


def _one(said: dict[str, Any]) -> tuple[str, Any]:
    """The value that one or several names have, and the first name that has it."""
    given = {name: value for name, value in said.items() if value is not None}
    name = next(iter(given), "")
    for other, value in given.items():
        if value != given[name]:
            raise invalid(other, f"differs from '{name}'; send one of them")
    return name, given.get(name)
