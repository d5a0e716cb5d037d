"""Fits texts that are too long into a model's context: cuts their rows, or divides them into windows.

Works on token ids. Knows no requests and no engines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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

    Raises:
        InvalidValue: the length is over the model's context, or leaves no token of a text.
    """

    def __init__(self, model: Model, truncation: Truncation) -> None:
        self._tokenizer = model.tokenizer
        self._keeps_end = truncation.keeps_end
        context = model.card.context_length_tokens
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

    def pair(self, pair: Pair) -> "PairRow":
        """The row of two texts, of which the longer one loses tokens until both have the same number, and then both.

        This is what tokenizers call "longest first": the form in which cross-encoders are trained.
        """
        ids, (begin, end), (start, stop) = pair.ids, pair.first, pair.second
        one, other = end - begin, stop - start
        room = max(0, self._limit - (len(ids) - one - other))
        short, long = sorted((one, other))
        if short + long > room:
            long = short if short > room else max(short, room - short)
            if short + long > room:
                short, long = room // 2, room // 2 + room % 2
        first, second = (short, long) if one <= other else (long, short)
        places = range(len(ids))
        kept = {*self._kept(list(places[begin:end]), first), *self._kept(list(places[start:stop]), second)}
        places_kept = [i for i in places if i in kept or not (begin <= i < end or start <= i < stop)]
        return PairRow([ids[i] for i in places_kept], [pair.types[i] for i in places_kept])

    def _kept(self, ids: Row, most: int) -> Row:
        return ids[max(0, len(ids) - most) :] if self._keeps_end else ids[:most]


@dataclass(frozen=True, slots=True)
class PairRow:
    """A row of two texts as an engine takes it."""

    ids: Row
    types: Row
    """The kind of text of each id."""


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


def pair_windows(pair: Pair, context_tokens: int, overlap: int, most: int | None) -> Sequence[PairRow]:
    """The rows of a pair whose second text is longer than the room that the first leaves: a row a window of the second.

    Args:
        pair: the two texts; the first leaves room for more than ``overlap`` tokens.
        context_tokens: the most tokens of a row.
        overlap: the tokens that neighbouring windows share.
        most: the most windows; None: as many as the second text needs.
    """
    begin, end = pair.second
    size = context_tokens - (len(pair.ids) - (end - begin))
    return [
        PairRow(*([*row[:begin], *row[begin + a : begin + b], *row[end:]] for row in (pair.ids, pair.types)))
        for a, b in windows(end - begin, size, overlap)[:most]
    ]
