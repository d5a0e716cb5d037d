"""What a request asks of the thought before an answer, in the words of several servers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from server.api.schemas.base import MAX_ID, RequestBody, invalid
from server.tasks.generation.options import Reasoning

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
        """What is asked of the thought, beside its budget.

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
    """What is said by one name or by several, and the first of them."""
    given = {name: value for name, value in said.items() if value is not None}
    name = next(iter(given), "")
    for other, value in given.items():
        if value != given[name]:
            raise invalid(other, f"differs from '{name}'; send one of them")
    return name, given.get(name)
