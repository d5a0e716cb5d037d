"""Which waiting rows go into the next batch: pure functions, no clock, no threads.

The queue is a list of jobs in the order of their turns, each with its waiting rows in order. The rules:

1. The first row of the job whose turn it is always goes, and its key is the batch's key. Jobs that got a
   row then go to the back (``turns``). So no key, no length and no long list can starve anyone.
2. The other rows are dealt in rounds, one row a job a round: a single text behind a list of two thousand
   texts does not wait for all of them.
3. Of the first few dealt, those nearest in length to the first row go: a batch costs its longest row times
   its rows.
4. A row that does not fit (key, length, tokens) is passed over, not waited for: the engine is free now.
5. Background rows come after all others, and leave some seats of a batch free: a request that comes meanwhile finds
   one. So they can wait for ever, and they fill what requests leave.

``load_tests/simulator.py`` judges changes to these rules without a model.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Protocol

from server.engines.base import Room

CHOICE = 4
"""Rows near in length are chosen among so many times the rows of a batch."""


class Waiting(Protocol):
    """A row in the queue."""

    @property
    def key(self) -> Hashable:
        """Only rows with equal keys may share a call."""

    @property
    def tokens(self) -> int:
        """The cost of the row."""

    @property
    def background(self) -> bool:
        """Whether the row goes behind those that are not. All rows of a job are alike in this."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The size that a batch may grow to."""

    rows: int
    tokens: int
    """The most of longest row × rows, the cost of a padded batch. A single longer row still goes, alone."""
    length_tolerance: int | None = None
    """Rows of one batch differ by at most so many tokens; None: any lengths mix well."""
    kept_share: int = 8
    """Of so many seats one is kept from background rows."""

    @property
    def kept_rows(self) -> int:
        """Seats that background rows leave free."""
        return -(-self.rows // self.kept_share) if self.rows > 1 else 0


Queue = Sequence[Sequence[Waiting]]
"""Jobs with at least one waiting row each, the one whose turn it is first."""

Pick = tuple[int, int]
"""Index of the job in the queue, index of the row in the job."""


def take(queue: Queue, limits: Limits) -> list[Pick]:
    """Choose the rows of a new batch; empty only when the queue is."""
    order = _ahead_first(queue)
    if not order:
        return []
    first = queue[order[0]][0]
    shortest = longest = first.tokens
    picks: list[Pick] = []
    dealt = ((j, i) for j, i in _deal(queue, order) if queue[j][i].key == first.key)
    near = list(islice(dealt, CHOICE * limits.rows))
    near[1:] = sorted(
        near[1:],
        key=lambda pick: (queue[pick[0]][0].background, abs(queue[pick[0]][pick[1]].tokens - first.tokens)),
    )
    for j, i in chain(near, dealt):
        if queue[j][i].background and picks and len(picks) >= limits.rows - limits.kept_rows:
            break
        tokens = queue[j][i].tokens
        low, high = min(shortest, tokens), max(longest, tokens)
        if picks and (
            high * (len(picks) + 1) > limits.tokens
            or (limits.length_tolerance is not None and high - low > limits.length_tolerance)
        ):
            continue
        picks.append((j, i))
        shortest, longest = low, high
        if len(picks) == limits.rows:
            break
    return picks


def shared(limits: Limits, waiting: int, lanes: int) -> Limits:
    """The limits of a batch that leaves each of so many free lanes its share of the waiting rows.

    All free lanes together finish a list sooner than one, even if one batch could hold it.
    """
    return replace(limits, rows=max(1, min(limits.rows, -(-waiting // lanes))))


def refill(queue: Queue, key: Hashable, room: Room, kept_rows: int = 0) -> list[Pick]:
    """Choose the rows that join a running batch.

    Strictly in the order they are dealt: the first row that does not fit ends the choice, since passing it
    over for as long as a batch keeps being refilled would starve it.

    Args:
        queue: as for ``take``.
        key: the running batch's.
        room: the rows and tokens that the engine can take. Tokens count as a sum, since joined rows are not padded.
        kept_rows: seats of the room that background rows leave free.
    """
    picks: list[Pick] = []
    tokens_left = room.tokens
    for j, i in _deal(queue, _ahead_first(queue)):
        row = queue[j][i]
        seats = room.rows - (kept_rows if row.background else 0)
        if len(picks) >= seats or row.key != key or row.tokens > tokens_left:
            break
        picks.append((j, i))
        tokens_left -= row.tokens
    return picks


def turns(queue: Queue, picks: Sequence[Pick]) -> list[int]:
    """The jobs that still have rows after the picks, in the order of their next turns."""
    gone = [0] * len(queue)
    for j, _ in picks:
        gone[j] += 1
    left = [j for j, job in enumerate(queue) if len(job) > gone[j]]
    return sorted(left, key=lambda j: gone[j] > 0)


def _ahead_first(queue: Queue) -> list[int]:
    """The jobs in the order of their turns, those of background rows behind all others."""
    return sorted(range(len(queue)), key=lambda j: queue[j][0].background)


def _deal(queue: Queue, order: Sequence[int]) -> Iterator[Pick]:
    """All rows, one a job a round, jobs in this order; those of the background when no other row is left."""
    ahead = [j for j in order if not queue[j][0].background]
    for jobs in (ahead, [j for j in order if queue[j][0].background]):
        depth, dealing = 0, jobs
        while dealing:
            for j in dealing:
                yield j, depth
            depth += 1
            dealing = [j for j in dealing if len(queue[j]) > depth]
