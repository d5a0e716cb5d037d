"""A text of any format as sentences to translate and what stands around them.

Joined with its own sentences a document is the text it was made from, byte for byte. Knows no models.
"""

import html
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from server.tasks.text.sentences import split
from server.tasks.translation.glossary import Glossary
from server.tasks.translation.marks import STAND_INS, Marked, marked, paired
from server.tasks.translation.markup import Rules, runs_of
from server.tasks.translation.placeholders import Protected
from server.tasks.translation.segments import HELD, Mark, Segment, hold, plain_segment, words_of


@dataclass(frozen=True, slots=True)
class Document:
    """Sentences and what stands before, between and after them: one more gap than sentences."""

    sentences: tuple[Marked, ...]
    gaps: tuple[str, ...]
    is_markup: bool = False

    def join(self, sentences: Sequence[Marked]) -> str:
        """The document with these sentences in place of its own, one for one."""
        parts = [self.gaps[0]]
        for sentence, gap in zip(sentences, self.gaps[1:], strict=True):
            parts += (self.write(sentence), gap)
        return "".join(parts)

    def write(self, sentence: Marked) -> str:
        """A sentence as it is written in this format."""
        return sentence.render(_escape if self.is_markup else str)


def untouched(text: str) -> Document:
    """A document with nothing to translate."""
    return Document((), (text,))


def read_segments(text: str, rules: Rules | None) -> list[Segment | str]:
    """A text as runs; ``rules`` say that it is HTML or XML."""
    return [plain_segment(text)] if rules is None else runs_of(text, rules)


def plain_text(runs: Sequence[Segment | str]) -> str:
    """What there is to read in runs."""
    return "\n".join(words_of(runs))


def build(
    runs: Sequence[Segment | str],
    language: str,
    *,
    is_markup: bool,
    glossary: Glossary,
    count_tokens: Callable[[str], int],
    limit_tokens: int,
    require_room: Callable[[int], None] = lambda sentences: None,
) -> Document:
    """The sentences of runs.

    Args:
        runs: what ``read_segments`` gave.
        language: ISO 639-1 code of their language.
        is_markup: whether text has to be escaped.
        glossary: terms that have a translation of their own.
        count_tokens: how many tokens a text has.
        limit_tokens: the most tokens that a sentence may have; longer ones are split.
        require_room: told how many sentences there are so far; raises where those are too many.
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
    return Document(tuple(sentences), tuple("".join(gap) for gap in gaps), is_markup)


def _require_more(require_room: Callable[[int], None], before: int, more: int) -> None:
    require_room(before + more)


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _own(marks: Sequence[Mark], places: Sequence[int], given: int, start: int, end: int) -> tuple[int, int]:
    """Which marks are a sentence's own, as the first of them and the one after them. At its edges only whole pairs are.

    Args:
        marks: all of the run, in order.
        places: the place of each.
        given: how many of them belong to what comes before.
        start, end: of the sentence.
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
