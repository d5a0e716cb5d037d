"""Fits texts that are too long into a model's context: cuts their rows, or divides them into windows.

Works on token ids. Knows no requests and no engines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.tokenizers import Pair, Tokenizer
from server.errors import InvalidValue
from server.tasks.model import Model

Row = list[int]


@dataclass(frozen=True, slots=True)
class Truncation:
    """The part of a long input that is read."""

    tokens: int | None = None
    """The most tokens, including those that the model adds; None means as many as the model reads."""
    keeps_end: bool = False
    """Whether the beginning is cut off, not the end."""
    field: str = "truncate_prompt_tokens"
    """The name of the field in the request."""


class Cut:
    """Truncates the rows of one model.

    Args:
        context_tokens: the most tokens of a row, if they are fewer than the model's context.

    Raises:
        InvalidValue: the length is over the model's context, or leaves no token of a text.
    """

    def __init__(self, model: Model, truncation: Truncation, context_tokens: int | None = None) -> None:
        self._tokenizer = model.tokenizer
        self._keeps_end = truncation.keeps_end
        context = context_tokens or model.card.context_length_tokens
        self._limit = context if truncation.tokens is None else truncation.tokens
        least = len(model.tokenizer.encode_row("")) + 1
        if not least <= self._limit <= context:
            raise InvalidValue(
                f"'{truncation.field}' is {self._limit}; for '{model.id}' it must be {least} to {context}, or -1.",
                truncation.field,
            )

    def text(self, row: Row, text: str) -> Row:
        """The row of a text, with the text's tokens truncated and the tokens around them kept."""
        if len(row) <= self._limit:
            return row
        begin, end = inner(self._tokenizer, row, text)
        kept = self._kept(row[begin:end], self._limit - (len(row) - (end - begin)))
        return [*row[:begin], *kept, *row[end:]]

    def ids(self, row: Row) -> Row:
        """A row that the client gave as ids, truncated."""
        return self._kept(row, self._limit)

    def pair(self, pair: Pair) -> Pair:
        """A pair of texts, of which the longer one loses tokens until both have the same number, and then both.

        This is what tokenizers call "longest first": the form in which cross-encoders are trained.
        """
        one, other = len(pair.first), len(pair.second)
        room = max(0, self._limit - (len(pair) - one - other))
        short, long = sorted((one, other))
        if short + long > room:
            long = short if short > room else max(short, room - short)
            if short + long > room:
                short, long = room // 2, room // 2 + room % 2
        first, second = (short, long) if one <= other else (long, short)
        return replace(pair, first=self._kept(pair.first, first), second=self._kept(pair.second, second))

    def _kept(self, ids: Row, most: int) -> Row:
        return ids[max(0, len(ids) - most) :] if self._keeps_end else ids[:most]


def row_of(model: Model, item: str | Sequence[int], index: int, cut: Cut | None = None) -> Row:
    """The row of a text, or the ids as they are.

    Raises:
        InvalidValue: the input is empty, no Unicode text, or has ids outside the vocabulary.
    """
    if not isinstance(item, str):
        if not item:
            raise InvalidValue(f"Input {index} is empty.", "input")
        model.require_ids([item], "input")
        return list(item) if cut is None else cut.ids(list(item))
    if not item.strip():
        raise InvalidValue(f"Input {index} is empty.", "input")
    try:
        row = model.tokenizer.encode_row(item)
    except ValueError as error:
        raise InvalidValue(f"Input {index}: {error}", "input") from None
    return row if cut is None else cut.text(row, item)


def inner(tokenizer: Tokenizer, row: Row, text: str) -> tuple[int, int]:
    """The places of a text's own tokens in its row: from, up to."""
    plain = tokenizer.encode(text)
    around = len(row) - len(plain)
    begin = next((i for i in range(around + 1) if row[i : i + len(plain)] == plain), 0)
    return begin, begin + len(plain)


def windows(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Windows that cover a sequence: from, up to. Each but the last is full; neighbours share ``overlap`` places.

    Args:
        length: of the sequence; 0 has one empty window.
        size: of a window, above ``overlap``.
        overlap: the places that two neighbours share at least. The last window begins where the step leads, so it may
            be shorter than the others, and never lies within the window before it.
    """
    found = [(0, min(size, length))]
    while found[-1][1] < length:
        begin = found[-1][1] - overlap
        found.append((begin, min(begin + size, length)))
    return found
