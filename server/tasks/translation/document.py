"""A text of any format as a document: sentences to translate, and the gaps around them.

A document that is joined with its own sentences gives back its text, byte for byte. This module knows no models.
"""

import html
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from server.tasks.text.sentences import split
from server.tasks.translation.marks import STAND_INS, Marked, marked, paired
from server.tasks.translation.markup import Rules, runs_of
from server.tasks.translation.placeholders import Glossary, Protected
from server.tasks.translation.segments import HELD, Mark, Segment, hold, plain_segment, words_of


@dataclass(frozen=True, slots=True)
class Document:
    """Sentences and the gaps before, between and after them; there is one more gap than sentences."""

    sentences: tuple[Marked, ...]
    gaps: tuple[str, ...]
    escape: Callable[[str], str] = str
    """Writes the sentences' own text in the document's format."""

    def join(self, sentences: Sequence[Marked]) -> str:
        """The document's text with its sentences replaced by these, one for one."""
        parts = [self.gaps[0]]
        for sentence, gap in zip(sentences, self.gaps[1:], strict=True):
            parts += (self.write(sentence), gap)
        return "".join(parts)

    def write(self, sentence: Marked) -> str:
        """A sentence as text of this format: in markup its special characters are escaped."""
        return sentence.render(self.escape)


def untouched(text: str) -> Document:
    """A document with nothing to translate."""
    return Document((), (text,))


def read_segments(text: str, rules: Rules | None) -> list[Segment | str]:
    """The text as segments to translate and texts to leave alone. ``rules`` is None for plain text."""
    return [plain_segment(text)] if rules is None else runs_of(text, rules)


def plain_text(runs: Sequence[Segment | str]) -> str:
    """The text of the segments alone, from which a language can be detected."""
    return "\n".join(words_of(runs))


def build(
    runs: Sequence[Segment | str],
    language: str,
    *,
    escape: Callable[[str], str] = str,
    glossary: Glossary,
    count_tokens: Callable[[str], int],
    limit_tokens: int,
    require_room: Callable[[int], None] = lambda sentences: None,
) -> Document:
    """Cut segments into sentences.

    Args:
        runs: the result of ``read_segments``.
        language: ISO 639-1 code of the text's language.
        escape: writes the sentences' own text in the document's format.
        glossary: terms with fixed translations.
        count_tokens: counts the tokens of a text.
        limit_tokens: the most tokens that a sentence may have; longer sentences are split.
        require_room: called with the number of sentences so far; it raises an error if these are too many.
    """
    sentences: list[Marked] = []
    gaps: list[list[str]] = [[]]

    def count(text: str) -> int:
        return count_tokens(text.replace(HELD, f" {STAND_INS[0]} "))

    for run in runs:
        if isinstance(run, str):
            gaps[-1].append(run)
            continue
        stays = [Protected("copy", term.start, term.end) for term in glossary.find(run.text) if term.stays]
        run = hold(run, stays)
        room = partial(_require_more, require_room, len(sentences))
        skeleton = split(run.text, language, count, limit_tokens, room)
        places = [mark.at for mark in run.marks]
        at = start = given = 0
        for gap, sentence in zip(skeleton.gaps, skeleton.sentences, strict=False):
            start += len(gap)
            end = start + len(sentence)
            first, after = _own(run.marks, places, given, start, end)
            gaps[-1].append(run.raw(at, start, run.marks[given:first]))
            sentences.append(marked(run, start, end, run.marks[first:after], glossary))
            gaps.append([])
            at = start = end
            given = after
        gaps[-1].append(run.raw(at, len(run.text), run.marks[given:]))
    return Document(tuple(sentences), tuple("".join(gap) for gap in gaps), escape)


def _require_more(require_room: Callable[[int], None], before: int, more: int) -> None:
    require_room(before + more)


def escape_markup(text: str) -> str:
    """A text of HTML or XML with its special characters as entities."""
    return html.escape(text, quote=False)


def _own(marks: Sequence[Mark], places: Sequence[int], given: int, start: int, end: int) -> tuple[int, int]:
    """The marks that belong to a sentence, as the index of the first and of the one after the last.

    A mark at the edge of a sentence belongs to it only if the other mark of its pair does too.

    Args:
        marks: all marks of the segment, in order.
        places: the place of each mark in the segment's text, in characters.
        given: the number of marks that earlier sentences and gaps have taken.
        start, end: the sentence's range in the segment's text, in characters.
    """
    first = bisect_left(places, start, given)
    after = bisect_right(places, end, first)
    whole = paired(marks[first:after])
    low, high = 0, after - first
    while low < high and places[first + low] == start and low not in whole:
        low += 1
    while low < high and places[first + high - 1] == end and high - 1 not in whole:
        high -= 1
    return first + low, first + high
