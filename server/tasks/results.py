"""Results of tasks: plain data in the words of the domain, before any wire format."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from models.tokenizers import Tokenizer
from server.batching.job import Timing
from server.engines.rows import Token, read_top

KEPT_TEXTS = 16_384


class TokenText(NamedTuple):
    """A token with its log-probability and the likeliest at its place."""

    text: str
    bytes: bytes
    logprob: float
    top: Sequence["TokenText"] = ()


class TokenTexts:
    """A model's tokens as texts. Those told lately are kept."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.read = lru_cache(maxsize=KEPT_TEXTS)(self._read)
        """A token's text and its bytes, by its id."""

    def of(self, token: Token) -> TokenText:
        """A token and the likeliest at its place."""
        top = [TokenText(*self.read(id), logprob) for id, logprob in zip(*read_top(token.top), strict=True)]
        return TokenText(*self.read(token.id), token.logprob or 0.0, top)

    def _read(self, id: int) -> tuple[str, bytes]:
        if raw := self._tokenizer.token_bytes(id):
            return raw.decode("utf-8", "replace"), raw
        try:
            text = self._tokenizer.token(id)
        except IndexError:  # an embedding without a token
            text = ""
        return text, text.encode()


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Tokens of one completion. Their texts are read when they are iterated: who writes ids alone need not wait."""

    tokens: Sequence[Token] = ()
    texts: TokenTexts | None = None
    """None only where there are no tokens."""

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[TokenText]:
        return map(self.texts.of, self.tokens) if self.texts is not None else iter(())

    @classmethod
    def joined(cls, parts: Iterable["TokenLogprobs"]) -> "TokenLogprobs":
        """Several after each other, all of one model."""
        some = [part for part in parts if part.tokens]
        return cls([token for part in some for token in part.tokens], some[0].texts) if some else NONE


NONE = TokenLogprobs()


ItemT = TypeVar("ItemT")

Flag = Literal[
    "repetition", "length", "untranslated", "wrong_language", "altered", "unsupported_language", "low_confidence"
]

ScoresFlag = Literal["unsupported_language"]

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and made."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int | None = None
    """Those of completions that were thought, its marks included; None for a model that does not think."""


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
    thought: str = ""
    """Some more of what is thought before the answer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A whole completion."""

    index: int
    text: str
    tokens: TokenLogprobs
    calls: Sequence[ToolCall]
    finish_reason: FinishReason
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated text."""

    text: str
    source: str
    target: str
    detected: tuple[str, float] | None
    """Language and confidence, when the source was to be detected."""
    confidence: float
    """How likely a reader accepts it, where the models' manifests have a calibration (of two passes the product); else
    exp of the mean log-probability of the target tokens, over all sentences. 1 for a text left as it is, 0 for one that
    the model does not read."""
    alternatives: Sequence[str] = ()
    pivot: str | None = None
    """The language that it went through, where no single pass serves the pair."""
    via: Sequence[str] = ()
    """The models that translated it, one a pass; none: it came back as it was."""
    flags: Sequence[Flag] = ()
    """The faults that were found in it, and remained after another try."""


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
