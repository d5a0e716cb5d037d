"""What tasks give back: plain data in the words of the domain, before any wire format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from server.batching.job import Timing
from server.tasks.logprobs import NONE, TokenLogprobs

ItemT = TypeVar("ItemT")

Flag = Literal["repetition", "length", "untranslated", "wrong_language"]

ScoresFlag = Literal["unsupported_language"]

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and made."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model wants made."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delta:
    """Some more text of one choice; the last of a choice carries its finish reason and its calls."""

    index: int
    text: str = ""
    tokens: TokenLogprobs = NONE
    """With logprobs only: the tokens that end within the text sent so far."""
    calls: Sequence[ToolCall] = ()
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A whole completion."""

    index: int
    text: str
    tokens: TokenLogprobs
    calls: Sequence[ToolCall]
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated text."""

    text: str
    source: str
    target: str
    detected: tuple[str, float] | None
    """Language and confidence, when the source was to be detected."""
    confidence: float
    """exp of the mean log-probability of the target tokens, over all sentences; 1 for a text left as it is."""
    alternatives: Sequence[str] = ()
    pivot: str | None = None
    """The language that it went through, where no single pass serves the pair."""
    flags: Sequence[Flag] = ()
    """What is wrong with it as far as can be told, and stayed so when it was tried again."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One classified text: label to probability, in the manifest's order."""

    scores: Mapping[str, float]
    chunks: int = 1
    """In how many chunks it was read: more than one for a text longer than the model's context."""
    model: str = ""
    """The id of the model that read it."""
    language: str | None = None
    """Its language; None where that could not be told, or did not matter."""
    flags: Sequence[ScoresFlag] = ()
    """Why the scores say nothing of it."""

    @property
    def label(self) -> str:
        """The likeliest label."""
        return max(self.scores, key=lambda name: self.scores[name])


@dataclass(frozen=True, slots=True)
class Done(Generic[ItemT]):
    """The answers to a request's inputs, in their order, and what they cost."""

    items: Sequence[ItemT]
    usage: Usage
    timing: Timing
