"""Runaway repetition: a decoder that loops says the same few tokens until it is stopped.

Works on any sequence of comparable items (tokens or words). Knows nothing of languages or models.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
