"""The results of tasks as plain data, before any wire format."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from models.tokenizers import Tokenizer
from server.batching.job import Timing
from server.engines.rows import Token, read_top

KEPT_TEXTS = 16_384


class TokenText(NamedTuple):
    """A token's text, bytes and log-probability, and the likeliest tokens at its place."""

    text: str
    bytes: bytes
    logprob: float
    top: Sequence["TokenText"] = ()


class TokenTexts:
    """The texts of one model's tokens. Recently used texts are cached."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.read = lru_cache(maxsize=KEPT_TEXTS)(self._read)
        """Returns the text and the bytes of a token id."""

    def of(self, token: Token) -> TokenText:
        """The text of a token, with the texts of the likeliest tokens at its place."""
        top = [TokenText(*self.read(id), logprob) for id, logprob in zip(*read_top(token.top), strict=True)]
        return TokenText(*self.read(token.id), token.logprob or 0.0, top)

    def _read(self, id: int) -> tuple[str, bytes]:
        if raw := self._tokenizer.token_bytes(id):
            return raw.decode("utf-8", "replace"), raw
        try:
            text = self._tokenizer.token(id)
        except IndexError:  # the model has an embedding without a token
            text = ""
        return text, text.encode()


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Tokens of one completion. Iteration looks up their texts, so a writer of ids alone does not pay for texts."""

    tokens: Sequence[Token] = ()
    texts: TokenTexts | None = None
    """None only if ``tokens`` is empty."""

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[TokenText]:
        return map(self.texts.of, self.tokens) if self.texts is not None else iter(())

    @classmethod
    def joined(cls, parts: Iterable["TokenLogprobs"]) -> "TokenLogprobs":
        """The tokens of several parts in their order. All parts must be of one model."""
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
    """The numbers of tokens that a request read and made."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int | None = None
    """The completion tokens of thoughts, including their marks; None if the model does not think."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model asks for."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next text of one choice. The last delta of a choice has its finish reason and its calls."""

    index: int
    text: str = ""
    tokens: TokenLogprobs = NONE
    """If the request asks for log-probabilities: the tokens that end within the text sent so far."""
    calls: Sequence[ToolCall] = ()
    finish_reason: FinishReason | None = None
    thought: str = ""
    """The next text of the thought before the answer."""


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
    """The detected language and its probability; None if the request named the source language."""
    confidence: float
    """The probability that a reader accepts the translation, if the models' manifests have a calibration; otherwise exp
    of the mean log-probability of the target tokens, over all sentences. For two passes it is the product. It is 1 for
    an unchanged text, and 0 for a text that the model does not read."""
    alternatives: Sequence[str] = ()
    pivot: str | None = None
    """The pivot language, if no single model translates the pair."""
    via: Sequence[str] = ()
    """The ids of the models that translated the text, in order; empty if the text was left unchanged."""
    flags: Sequence[Flag] = ()
    """The faults of the translation that remained after a second try."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one classified text: probabilities by label, in the manifest's order."""

    scores: Mapping[str, float]
    chunks: int = 1
    """The number of chunks that the text was read in; more than one if the text is longer than the model's context."""
    model: str = ""
    """The id of the model that read the text."""
    language: str | None = None
    """The text's language; None if it is unknown or does not matter."""
    flags: Sequence[ScoresFlag] = ()
    """The reasons why the scores are meaningless."""

    @property
    def label(self) -> str:
        """The likeliest label."""
        return max(self.scores, key=lambda name: self.scores[name])


@dataclass(frozen=True, slots=True)
class Done(Generic[ItemT]):
    """The answers to a request's inputs, in the inputs' order, with the numbers of tokens and the times."""

    items: Sequence[ItemT]
    usage: Usage
    timing: Timing
