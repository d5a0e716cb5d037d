"""Tokens as ``logprobs`` tells them. Knows no wire format."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from models.tokenizers import Tokenizer
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
