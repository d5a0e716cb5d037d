"""What shows that a translation is not to be trusted: runaway repetition, another language, an untranslated copy, a
strange length. This module knows no models.
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
    """``period`` items, said again and again from ``start`` to ``end`` (the last time perhaps not to its end)."""

    start: int
    period: int
    end: int

    @property
    def repeats(self) -> int:
        """How many times in full."""
        return (self.end - self.start) // self.period


def find_loop(
    items: Sequence[Hashable],
    *,
    min_repeats: int = MIN_REPEATS,
    min_length: int = MIN_LENGTH,
    max_period: int = MAX_PERIOD,
) -> Loop | None:
    """The first loop, with its shortest period; None for a sequence without one.

    A loop says the same ``min_repeats`` times or more and is ``min_length`` items long or more: "no, no, no!"
    is none.
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
    """The periods that a loop could have: distances between places of items that come often enough to be in one.

    Looking at these alone, mostly none, is what makes a sentence cost microseconds and not half a millisecond.
    """
    places: dict[Hashable, list[int]] = {}
    for at, item in enumerate(items):
        places.setdefault(item, []).append(at)
    often = [at for at in places.values() if len(at) >= min_repeats]
    near = ((a, b) for at in often for i, a in enumerate(at) for b in at[i + 1 : i + 1 + max_period])
    return sorted({b - a for a, b in near if b - a <= max_period})


def cut_loops(items: Sequence[ItemT], source: Sequence[Hashable] = ()) -> list[ItemT]:
    """The items with each loop said once, unless the source loops itself: then repeating it is right."""
    return [items[i] for i in kept_of_loops(items, source)]


def kept_of_loops(items: Sequence[Hashable], source: Sequence[Hashable] = ()) -> list[int]:
    """The places of the items that ``cut_loops`` keeps."""
    kept = list(range(len(items)))
    loop = find_loop(items)
    if loop is None or find_loop(source) is not None:
        return kept
    while loop is not None:
        begun = (loop.end - loop.start) % loop.period if loop.end < len(kept) else 0  # goes on into what follows
        kept = kept[: loop.start + loop.period] + kept[loop.end - begun :]
        loop = find_loop([items[i] for i in kept])
    return kept


LONGEST_RATIO = 3.0
SHORTEST_RATIO = 0.25
"""Target characters to source characters: of 41,736 human translations of test sentences none is outside."""

DENSE = 2.5
"""A Chinese character, a kana or a Korean syllable says as much as so many letters."""

SHORT_CHARACTERS = 30
"""Of shorter sources any length may be right, up to this many characters more."""

COPIED_WORDS = 3
COPIED_RATIO = 0.8
"""A copy has at least so many lower-case words, and this part of them is the source's, in its order."""

SURE = 0.9
SURE_WORDS = 4
"""Another language is told with this probability from this many words on."""

_WORD = re.compile(r"[^\W\d_]+")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def judge(source: str, target: str, language: str, languages: Collection[str], *, looped: bool) -> tuple[Flag, ...]:
    """What is wrong with a translation.

    Args:
        source: the sentence.
        target: its translation, loops already cut.
        language: the language the target should have.
        languages: those it could have.
        looped: the model repeated itself.
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
    """How much it says, in letters."""
    return len(text) + (DENSE - 1) * len(_DENSE.findall(text))


def _is_copy(source: str, target: str) -> bool:
    """Names may stay as they are, so only words in lower case count."""
    before, after = ([word for word in _WORD.findall(text) if word.islower()] for text in (source, target))
    if min(len(before), len(after)) < COPIED_WORDS:
        return False
    return _in_order(before, after) >= COPIED_RATIO * max(len(before), len(after))


def _in_order(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words of the one are in the other in the same order: the nth of equal words stands for the nth.

    The longest rising sequence of their places, found in n log n steps: texts may be long and all of one word.
    """
    places: dict[str, list[int]] = {}
    for i in range(len(after) - 1, -1, -1):
        places.setdefault(after[i], []).append(i)
    ends: list[int] = []
    """The least place at which a rising sequence of each length ends."""
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
    except UnsupportedParameter:  # the library is missing on this platform: one check less
        return False
    return expected is not None and found is not None and found[0] != expected and found[1] >= SURE
