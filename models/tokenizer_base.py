"""The contract of every tokenizer, the segments of a row, and the code that all kinds of tokenizers share.

Plain text never yields a control token, so a user's text cannot end a turn. Control tokens come only from `Special`
segments. A tokenizer neither truncates nor pads.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from models.pieces import PieceBytes


@dataclass(frozen=True, slots=True)
class Special:
    """A special token in a row of segments; any other segment is plain text."""

    token: str


Segment = Special | str


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a row of two texts, as the tokenizer's file has it: the control tokens around the texts."""

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[list[int], int, list[int], int, list[int]]
    """The kind of text, 0 or 1: of each token before, of the first text, of each token between, of the second, of each
    token after."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts as tokens. Pairs with the same first text share its list."""

    first: list[int]
    second: list[int]
    form: Form

    def __len__(self) -> int:
        return self.around + len(self.second)

    @property
    def around(self) -> int:
        """The number of tokens of a row besides those of the second text."""
        form = self.form
        return len(form.before) + len(self.first) + len(form.between) + len(form.after)

    @property
    def ids(self) -> list[int]:
        """The ids of the row."""
        return [*self.form.before, *self.first, *self.form.between, *self.second, *self.form.after]

    @property
    def types(self) -> list[int]:
        """The kind of text of each id of the row."""
        before, first, between, second, after = self.form.types
        return [*before, *[first] * len(self.first), *between, *[second] * len(self.second), *after]


@dataclass(frozen=True, slots=True)
class Span:
    """A token of a text, and its place there in characters: from, up to."""

    id: int
    begin: int
    end: int
    word: int
    """The number of the word that the token is a part of; words are cut as the tokenizer's file says."""


class Tokenizer(Protocol):
    """One model's tokenizer. Safe to use from several threads."""

    @property
    def vocab_size(self) -> int:
        """The number of ids; every id is smaller."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The control tokens, which plain text never yields."""

    @property
    def marks(self) -> Mapping[str, int]:
        """Tokens that a chat template writes and that stay visible in decoded text, such as ``<think>``. In a row of
        segments they come only from `Special` segments, as control tokens do.
        """

    @property
    def adds_leading_space(self) -> bool:
        """Whether the first piece of a text carries a space that is not in the text."""

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without control tokens.

        Raises:
            ValueError: the text has a lone surrogate, so it is not Unicode text.
        """

    def encode_row(self, text: str) -> list[int]:
        """The ids of plain text with the control tokens that the tokenizer's file puts around a text ([CLS], [SEP])."""

    def encode_pairs(self, first: str, seconds: Sequence[str]) -> list[Pair]:
        """One text with each of others, as models read pairs of texts. The first text is encoded once.

        Raises:
            ValueError: a text has a lone surrogate, or this kind of tokenizer reads no pairs.
        """

    def encode_spans(self, text: str) -> list[Span]:
        """The tokens of a plain text with their places, without control tokens.

        Raises:
            ValueError: the text has a lone surrogate, or this kind of tokenizer knows no places.
        """

    def encode_with_specials(self, segments: Iterable[Segment]) -> list[int]:
        """The ids of special tokens and plain text, each text encoded on its own.

        Raises:
            KeyError: the vocabulary has no such special token.
        """

    def id(self, token: str) -> int:
        """The id of a token's string.

        Raises:
            KeyError: the vocabulary has no such token.
        """

    def token(self, id: int) -> str:
        """The string of a token, as in the model's vocabulary file.

        Raises:
            IndexError: the id is too large.
        """

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The strings of tokens, as CTranslate2's Translator and Generator take them."""

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token adds to the text, as UTF-8 that may be incomplete. Empty for control tokens and for
        ids without a token: most models have more embeddings than tokens, and may yield such an id.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""


class Common(ABC):
    """The code that both kinds share. It keeps no tables of the vocabulary, since the libraries have them."""

    adds_leading_space = False
    marks: Mapping[str, int] = MappingProxyType({})

    def __init__(self, size: int, special: Mapping[str, int], to_bytes: PieceBytes) -> None:
        self.vocab_size = size
        self.special_tokens = dict(special)
        self._to_bytes = to_bytes
        # Ids whose bytes differ from their string: control tokens have no bytes.
        self._exceptions = dict.fromkeys(special.values(), b"")

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without control tokens."""

    @abstractmethod
    def token(self, id: int) -> str:
        """The string of a token, as in the model's vocabulary file."""

    def encode_pairs(self, first: str, seconds: Sequence[str]) -> list[Pair]:
        """One text with each of others; only `models.tokenizer_json` has a form for pairs."""
        raise ValueError("this model's tokenizer reads no pairs of texts")

    def encode_spans(self, text: str) -> list[Span]:
        """The tokens of a text with their places; only `models.tokenizer_json` knows them."""
        raise ValueError("this model's tokenizer knows no places of tokens")

    def encode_with_specials(self, segments: Iterable[Segment]) -> list[int]:
        """The ids of special tokens and plain text, each text encoded on its own."""
        ids: list[int] = []
        for segment in segments:
            if isinstance(segment, Special):
                ids.append(self.special_tokens[segment.token])
            else:
                ids += self.encode(segment)
        return ids

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The strings of tokens, as CTranslate2's Translator and Generator take them."""
        return [self.token(id) for id in ids]

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token adds to the text; empty for control tokens and for ids without a token."""
        known = self._exceptions.get(id)
        if known is not None:
            return known
        try:
            token = self.token(id)
        except IndexError:
            return b""
        return self._to_bytes(token)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids. Bytes that are not UTF-8 become U+FFFD."""
        parts: list[bytes] = []
        at_start = self.adds_leading_space
        for id in ids:
            piece = self.token_bytes(id)
            if piece and at_start:
                piece, at_start = piece.removeprefix(b" "), False
            elif not piece:  # a control token: the text after it was encoded on its own
                at_start = self.adds_leading_space
            parts.append(piece)
        return b"".join(parts).decode("utf-8", "replace")


def require_unicode(text: str) -> None:
    """Refuse text that is not Unicode.

    Raises:
        ValueError: the text has a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is a lone surrogate: this is no Unicode text") from None
