"""Texts as runs: stretches of plain text with what stands in them, between stretches that are left alone.

A run knows for each of its characters what was written in the document for it, so whatever is not translated is put
back as it was: entities, white space, comments. Knows nothing of sentences.
"""

import html
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from server.tasks.translation.placeholders import Protected, find_protected

HELD = "\ufffc"
"""Stands in a run's text for something that is held back, one character each."""

_ENTITY_OR_SPACE = re.compile(
    r"&(?:#\d{1,8}(?!\d)|#[xX][0-9a-fA-F]{1,7}(?![0-9a-fA-F])|[a-zA-Z][a-zA-Z0-9]{0,31});?|\s+"
)
_TAG_NAME = re.compile(r"</?([^\s/>]+)")
_LONGEST = 40
_NUMBER_BEFORE = re.compile(r"\d[\d.,]{0,38}[ \u00a0]?$|\d$")
_NUMBER_AFTER = re.compile(r"\d[\d.,]{0,38}(?<=\d)|[CF]\b")
"""What belongs to a sign that was written as an entity: the sum of a currency, the number of a degree."""
_WORDLIKE = "&<>\"'‘’“”«»‹›–—…-.,;:!?()/"
"""Signs that belong to the sentence, so a model may see them; other signs written as entities are held back."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag or comment between two characters."""

    at: int
    """The character that it stands before."""
    raw: str
    kind: Literal["open", "close", "empty"]
    name: str = ""


@dataclass(slots=True)
class Segment:
    """Plain text, what was written for each character, and the marks between them in order."""

    text: str = ""
    written: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    points: set[int] = field(default_factory=set)
    """Held characters that are beside the sentence: emoji, images."""
    ordered: set[int] = field(default_factory=set)
    """Held characters whose order matters."""

    def raw(self, start: int, end: int, marks: Sequence[Mark]) -> str:
        """What was written from one character to another, with these marks."""
        parts, at = [], start
        for mark in marks:
            parts += self.written[at : mark.at]
            parts.append(mark.raw)
            at = max(at, mark.at)
        return "".join([*parts, *self.written[at:end]])


class SegmentWriter:
    """Collects a run."""

    def __init__(self, lines: bool = False) -> None:
        self._lines = lines
        self._signs: list[int] = []
        """Where there are signs that were written as entities."""
        self._text: list[str] = []
        self._run = Segment()

    def text(self, raw: str) -> None:
        """Add text of a document of HTML or XML: entities count as what they mean, white space as one space."""
        at = 0
        for match in _ENTITY_OR_SPACE.finditer(raw):
            self._plain(raw[at : match.start()])
            at = match.end()
            if match[0].isspace():
                self._add("\n" if self._lines and "\n" in match[0] else " ", match[0])
                continue
            means = html.unescape(match[0])
            if means == match[0]:
                self._plain(means)
            elif means.isspace():
                self._add(" ", match[0])
            elif all(sign.isalnum() or sign in _WORDLIKE for sign in means):
                self._plain(means)
                self._run.written[-len(means) :] = [match[0], *[""] * (len(means) - 1)]
            elif len(means) == 1 and means != HELD:
                self._signs.append(len(self._text))
                self._add(means, match[0])
            else:
                self._run.points.add(len(self._text))
                self._add(HELD, match[0])
        self._plain(raw[at:])

    def mark(self, kind: Literal["open", "close", "empty"], raw: str, name: str = "") -> None:
        """Add a tag or a comment."""
        self._run.marks.append(Mark(len(self._text), raw, kind, name))

    def hold(self, raw: str) -> None:
        """Add something that stands for a word and is not to be translated."""
        self._add(HELD, raw)

    def finish(self) -> Segment:
        """The run, with its placeholders held back."""
        self._run.text = text = "".join(self._text)
        places = [mark.at for mark in self._run.marks]
        held: list[Protected] = []
        for at in self._signs:
            nearest = bisect_right(places, at)
            low = max(at - _LONGEST, places[nearest - 1] if nearest else 0)
            after = _NUMBER_AFTER.match(text, at + 1)
            before = _NUMBER_BEFORE.search(text[low:at]) if after is None or after[0].isalpha() else None
            start = at - len(before[0]) if before else at
            end = after.end() if after else at + 1
            if held and start < held[-1].end:
                start = held.pop().start
            held.append(Protected("copy" if end - start > 1 else "point", start, end))
        return hold_protected(hold(self._run, held), tags=False)

    def _plain(self, text: str) -> None:
        self._text += text
        self._run.written += text

    def _add(self, character: str, raw: str) -> None:
        self._text.append(character)
        self._run.written.append(raw)


def plain_segment(text: str) -> Segment:
    """A plain text as a run."""
    return hold_protected(Segment(text, list(text)), tags=True)


def hold_protected(run: Segment, *, tags: bool) -> Segment:
    """The run with its placeholders, addresses and emoji held back."""
    return hold(run, find_protected(run.text, tags=tags))


def hold(run: Segment, stretches: Sequence[Protected]) -> Segment:
    """The run with these stretches held back, but for those that have a tag within or are held back already."""
    places = [mark.at for mark in run.marks]
    found = [each for each in stretches if not _is_held(run, places, each.start, each.end)]
    if not found:
        return run
    made = Segment()
    parts: list[str] = []
    after: list[int] = []
    """Where the text goes on after each stretch."""
    length = at = 0
    for each in found:
        parts.append(run.text[at : each.start])
        made.written += run.written[at : each.start]
        length += each.start - at
        raw = "".join(run.written[each.start : each.end])
        if each.kind == "tag":
            name = _TAG_NAME.match(raw)
            kind: Literal["open", "close"] = "close" if raw.startswith("</") else "open"
            made.marks.append(Mark(length, raw, kind, name[1].lower() if name else ""))
        else:
            if each.kind == "point":
                made.points.add(length)
            if each.is_ordered:
                made.ordered.add(length)
            parts.append(HELD)
            made.written.append(raw)
            length += 1
        after.append(length)
        at = each.end
    made.text = "".join([*parts, run.text[at:]])
    made.written += run.written[at:]
    moved = partial(_moved, [each.start for each in found], [each.end for each in found], after)
    made.marks += [replace(mark, at=place) for mark in run.marks if (place := moved(mark.at)) is not None]
    made.points |= {place for i in run.points if (place := moved(i)) is not None}
    made.ordered |= {place for i in run.ordered if (place := moved(i)) is not None}
    return made


def _moved(starts: Sequence[int], ends: Sequence[int], after: Sequence[int], at: int) -> int | None:
    """Where a character is once stretches before it are held back; None where it is in one of them."""
    i = bisect_left(starts, at) - 1
    if i < 0:
        return at
    return after[i] + at - ends[i] if at >= ends[i] else None


def _is_held(run: Segment, places: Sequence[int], start: int, end: int) -> bool:
    """Whether a tag is within the stretch, or it is held back already: then it stays as it is."""
    already = HELD in run.text[start:end] and any(
        run.text[i] == HELD and run.written[i] != HELD for i in range(start, end)
    )
    return already or bisect_right(places, start) < bisect_left(places, end)


def words_of(runs: Sequence["Segment | str"]) -> Iterator[str]:
    """Yield the plain text of each run, for those who detect languages."""
    for run in runs:
        if isinstance(run, Segment):
            yield run.text.replace(HELD, " ")
