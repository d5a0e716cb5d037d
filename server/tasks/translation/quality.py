"""Signs of an untrustworthy translation: runaway repetition, a wrong language, an untranslated copy, a strange length.

This module knows no models.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from server.errors import UnsupportedParameter
from server.tasks.results import Flag
from server.tasks.text.language import closest, detect

ItemT = TypeVar("ItemT", bound=Hashable)

MIN_REPEATS = 4
MIN_LENGTH = 10
MAX_PERIOD = 24


@dataclass(frozen=True, slots=True)
class Loop:
    """A sequence of ``period`` items that repeats from ``start`` to ``end``. The last repetition may be incomplete."""

    start: int
    period: int
    end: int

    @property
    def repeats(self) -> int:
        """The number of complete repetitions."""
        return (self.end - self.start) // self.period


def find_loop(
    items: Sequence[Hashable],
    *,
    min_repeats: int = MIN_REPEATS,
    min_length: int = MIN_LENGTH,
    max_period: int = MAX_PERIOD,
) -> Loop | None:
    """The first loop of a sequence, with its shortest period; None if the sequence has no loop.

    A loop has at least ``min_repeats`` repetitions and at least ``min_length`` items, so "no, no, no!" is no loop.
    """
    best: Loop | None = None
    for period in _periods(items, min_repeats, min(max_period, len(items) // min_repeats)):
        start = 0
        for at in range(period, len(items) + 1):
            if at < len(items) and items[at] == items[at - period]:
                continue
            loop = Loop(start, period, at)
            if loop.repeats >= min_repeats and at - start >= min_length:
                if best is None or start < best.start:
                    best = loop
                break
            start = at - period + 1
    return best


def _periods(items: Sequence[Hashable], min_repeats: int, max_period: int) -> list[int]:
    """The periods that a loop could have: the distances between equal items that are frequent enough for a loop.

    Most sentences have no such period, so a check of these takes microseconds a sentence, not half a millisecond.
    """
    places: dict[Hashable, list[int]] = {}
    for at, item in enumerate(items):
        places.setdefault(item, []).append(at)
    often = [at for at in places.values() if len(at) >= min_repeats]
    near = ((a, b) for at in often for i, a in enumerate(at) for b in at[i + 1 : i + 1 + max_period])
    return sorted({b - a for a, b in near if b - a <= max_period})


def cut_loops(items: Sequence[ItemT], source: Sequence[Hashable] = ()) -> list[ItemT]:
    """The items with each loop reduced to one repetition. If the source has a loop too, all items are kept."""
    return [items[i] for i in kept_of_loops(items, source)]


def kept_of_loops(items: Sequence[Hashable], source: Sequence[Hashable] = ()) -> list[int]:
    """The indices of the items that ``cut_loops`` keeps."""
    kept = list(range(len(items)))
    loop = find_loop(items)
    if loop is None or find_loop(source) is not None:
        return kept
    while loop is not None:
        begun = (loop.end - loop.start) % loop.period if loop.end < len(kept) else 0  # these begin the text after it
        kept = kept[: loop.start + loop.period] + kept[loop.end - begun :]
        loop = find_loop([items[i] for i in kept])
    return kept


LONGEST_RATIO = 3.0
SHORTEST_RATIO = 0.25
"""The range of the ratio of target to source characters. None of 41,736 human translations of test sentences is outside
it."""

DENSE = 2.5
"""The number of letters that a Chinese character, a kana or a Korean syllable counts for."""

SHORT_CHARACTERS = 30
"""A shorter source sets no least length of its translation. The greatest length is this many characters more."""

COPIED_WORDS = 3
COPIED_RATIO = 0.8
"""A copy has at least this many lower-case words and shares at least this part of them with the source, in order."""

SURE = 0.9
SURE_WORDS = 4
"""A translation is flagged as another language from this probability and this number of words on."""

_WORD = re.compile(r"[^\W\d_]+")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def judge(source: str, target: str, language: str, languages: Collection[str], *, looped: bool) -> tuple[Flag, ...]:
    """The faults of a translation, as flags.

    Args:
        source: the sentence.
        target: the translation, without loops.
        language: the language that the translation should have.
        languages: the languages that the translation could have.
        looped: whether the model's output had a loop.
    """
    flags: list[Flag] = []
    if looped:
        flags.append("repetition")
    if not _has_sane_length(source, target):
        flags.append("length")
    if _is_copy(source, target):
        flags.append("untranslated")
    elif _is_other_language(target, language, languages):
        flags.append("wrong_language")
    return tuple(flags)


def _has_sane_length(source: str, target: str) -> bool:
    if not target.strip():
        return not _WORD.search(source)
    before, after = _length(source), _length(target)
    if after > LONGEST_RATIO * before + SHORT_CHARACTERS:
        return False
    return before < SHORT_CHARACTERS or after >= SHORTEST_RATIO * before


def _length(text: str) -> float:
    """The amount of text, in letters; dense scripts count for more."""
    return len(text) + (DENSE - 1) * len(_DENSE.findall(text))


def _is_copy(source: str, target: str) -> bool:
    """Whether the translation copies the source. Names may stay unchanged, so only words in lower case count."""
    before, after = ([word for word in _WORD.findall(text) if word.islower()] for text in (source, target))
    if min(len(before), len(after)) < COPIED_WORDS:
        return False
    return _in_order(before, after) >= COPIED_RATIO * max(len(before), len(after))


def _in_order(before: Sequence[str], after: Sequence[str]) -> int:
    """The number of words that both texts have in the same order; the nth of equal words matches the nth.

    That is the longest rising sequence of their places. It takes n log n steps even for a long text of one word.
    """
    places: dict[str, list[int]] = {}
    for i in range(len(after) - 1, -1, -1):
        places.setdefault(after[i], []).append(i)
    ends: list[int] = []
    """For each length, the smallest place at which a rising sequence of this length ends."""
    for word in before:
        if left := places.get(word):
            place = left.pop()
            at = bisect_left(ends, place)
            ends[at : at + 1] = [place]
    return len(ends)


def _is_other_language(target: str, language: str, languages: Collection[str]) -> bool:
    if len(_WORD.findall(target)) < SURE_WORDS:
        return False
    try:
        expected, found = closest(language, languages), detect(target, languages)
    except UnsupportedParameter:  # no library detects languages on this platform, so skip this check
        return False
    return expected is not None and found is not None and found[0] != expected and found[1] >= SURE
