"""Segments: stretches of plain text with their marks and held-back texts.

A segment keeps for each of its characters the document's own text. So entities, white space and comments that are not
translated are written back unchanged. This module knows nothing of sentences.
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
"""The character in a segment's text that represents one held-back text."""

_ENTITY_OR_SPACE = re.compile(
    r"&(?:#\d{1,8}(?!\d)|#[xX][0-9a-fA-F]{1,7}(?![0-9a-fA-F])|[a-zA-Z][a-zA-Z0-9]{0,31});?|\s+"
)
_TAG_NAME = re.compile(r"</?([^\s/>]+)")
_LONGEST = 40
_NUMBER_BEFORE = re.compile(r"\d[\d.,]{0,38}[ \u00a0]?$|\d$")
_NUMBER_AFTER = re.compile(r"\d[\d.,]{0,38}(?<=\d)|[CF]\b")
"""Text that belongs to a sign written as an entity: the amount before or after a currency, the number of a degree."""
_WORDLIKE = "&<>\"'‘’“”«»‹›–—…-.,;:!?()/"
"""Signs that the model reads even if the document writes them as entities. Other such signs are held back."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag or comment between two characters."""

    at: int
    """The index of the character after the mark."""
    raw: str
    kind: Literal["open", "close", "empty"]
    name: str = ""


@dataclass(slots=True)
class Segment:
    """Plain text, the document's own text for each of its characters, and the marks between characters in order."""

    text: str = ""
    written: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    points: set[int] = field(default_factory=set)
    """Indices of held-back characters that are no part of the sentence, such as emoji and images."""
    ordered: set[int] = field(default_factory=set)
    """Indices of held-back characters whose order matters, such as ``%s``."""

    def raw(self, start: int, end: int, marks: Sequence[Mark]) -> str:
        """The document's own text for the characters from ``start`` to ``end``, with these marks."""
        parts, at = [], start
        for mark in marks:
            parts += self.written[at : mark.at]
            parts.append(mark.raw)
            at = max(at, mark.at)
        return "".join([*parts, *self.written[at:end]])


class SegmentWriter:
    """Builds one segment of a document of HTML or XML."""

    def __init__(self, lines: bool = False) -> None:
        self._lines = lines
        self._signs: list[int] = []
        """Indices of the signs that the document writes as entities."""
        self._text: list[str] = []
        self._run = Segment()

    def text(self, raw: str) -> None:
        """Add text of the document. An entity becomes the characters that it means, white space becomes one space."""
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
        """Add text that takes the place of a word and must not be translated."""
        self._add(HELD, raw)

    def finish(self) -> Segment:
        """The segment, with its placeholders held back."""
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
    """A plain text as a segment, with its placeholders held back."""
    return hold_protected(Segment(text, list(text)), tags=True)


def hold_protected(run: Segment, *, tags: bool) -> Segment:
    """The segment with its placeholders, addresses and emoji held back."""
    return hold(run, find_protected(run.text, tags=tags))


def hold(run: Segment, stretches: Sequence[Protected]) -> Segment:
    """The segment with these stretches held back, except stretches that contain a mark or held-back text."""
    places = [mark.at for mark in run.marks]
    found = [each for each in stretches if not _is_held(run, places, each.start, each.end)]
    if not found:
        return run
    made = Segment()
    parts: list[str] = []
    after: list[int] = []
    """The place in the new text after each stretch."""
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
    """The new place of a character after stretches are held back; None if the character is inside one of them."""
    i = bisect_left(starts, at) - 1
    if i < 0:
        return at
    return after[i] + at - ends[i] if at >= ends[i] else None


def _is_held(run: Segment, places: Sequence[int], start: int, end: int) -> bool:
    """Whether the stretch contains a mark or held-back text, so that it cannot be held back as a whole."""
    already = HELD in run.text[start:end] and any(
        run.text[i] == HELD and run.written[i] != HELD for i in range(start, end)
    )
    return already or bisect_right(places, start) < bisect_left(places, end)


def words_of(runs: Sequence["Segment | str"]) -> Iterator[str]:
    """Yield the plain text of each segment, for the detection of its language."""
    for run in runs:
        if isinstance(run, Segment):
            yield run.text.replace(HELD, " ")
