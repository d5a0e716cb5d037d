"""Which waiting rows go into the next batch: pure functions, no clock, no threads.

The line is a list of jobs, oldest first, each with its waiting rows in order. The rules:

1. The oldest row always goes, and its key is the batch's key. So no key and no length can starve.
2. The other seats are dealt in rounds, one row a job a round, oldest job first: a list of two thousand
   texts does not make a single text behind it wait for all of them.
3. A row that does not fit (key, length, tokens) is passed over, not waited for: the engine is free now.

``load_tests/simulator.py`` judges changes to these rules without a model.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.engines.base import Room


class Waiting(Protocol):
    """A row in line."""

    @property
    def key(self) -> Hashable:
        """Only rows with equal keys may share a call."""

    @property
    def tokens(self) -> int:
        """What the row costs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a batch may grow."""

    rows: int
    tokens: int
    """Longest row × rows: what a padded batch costs. A single longer row still goes, alone."""
    length_tolerance: int | None = None
    """Rows of one batch differ by at most so many tokens; None: any lengths mix well."""


Pick = tuple[int, int]
"""Index of the job in the line, index of the row in the job."""


def take(line: Sequence[Sequence[Waiting]], limits: Limits) -> list[Pick]:
    """Choose the rows of a new batch; empty only when the line is.

    Args:
        line: jobs with at least one waiting row each, oldest first.
    """
    if not line:
        return []
    oldest = line[0][0]
    picks: list[Pick] = [(0, 0)]
    shortest = longest = oldest.tokens
    following = [0] * len(line)
    following[0] = 1
    candidates = list(range(len(line)))
    while candidates and len(picks) < limits.rows:
        still: list[int] = []
        for j in candidates:
            job, i = line[j], following[j]
            while i < len(job):
                row = job[i]
                low, high = min(shortest, row.tokens), max(longest, row.tokens)
                if (
                    row.key == oldest.key
                    and high * (len(picks) + 1) <= limits.tokens
                    and (limits.length_tolerance is None or high - low <= limits.length_tolerance)
                ):
                    picks.append((j, i))
                    shortest, longest = low, high
                    still.append(j)
                    break
                i += 1
            following[j] = i + 1
            if len(picks) == limits.rows:
                break
        candidates = still
    return picks


def refill(line: Sequence[Sequence[Waiting]], key: Hashable, room: Room) -> list[Pick]:
    """Choose the rows that join a running batch.

    Strictly in order of the rounds: the first row that does not fit ends the choice, since passing it
    over for as long as a batch keeps being refilled would starve it.

    Args:
        line: as for ``take``.
        key: the running batch's.
        room: what the engine can take on; tokens are counted as a sum, joined rows are not padded.
    """
    picks: list[Pick] = []
    tokens_left = room.tokens
    depth = 0
    while True:
        began = len(picks)
        for j, job in enumerate(line):
            if depth >= len(job):
                continue
            row = job[depth]
            if len(picks) == room.rows or row.key != key or row.tokens > tokens_left:
                return picks
            picks.append((j, depth))
            tokens_left -= row.tokens
        if len(picks) == began:
            return picks
        depth += 1
