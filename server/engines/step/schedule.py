"""Who computes how many tokens in the next step. No threads, no clock; the core is asked only for cache blocks.

The rules:

1. Every row that is decoding goes, one token each: a long prompt never stalls the others.
2. What is left of the step's token budget goes to prompts, oldest row first, in chunks.
3. When cache blocks run out, the youngest row is preempted: its blocks go, its tokens stay, and it is computed again
   later. The oldest row is never preempted for another, so it always comes to its end.
4. A row is admitted when its whole prompt fits beside the others' next blocks, so that rows do not push each other
   out in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from server.engines.base import Room

if TYPE_CHECKING:
    from server.engines.step.grammar import Matcher
    from server.engines.step.scoring import Scoring


class Blocks(Protocol):
    """What scheduling asks of the core."""

    @property
    def available_blocks(self) -> int:
        """Blocks that are free or can be freed."""

    def reserve(self, row: int, count: int) -> bool:
        """Take the blocks for so many more tokens; False, and nothing taken, when there are too few."""

    def preempt(self, row: int) -> None:
        """Give the row's blocks back."""

    def pending(self, row: int) -> int:
        """Tokens known and not computed."""


@dataclass(slots=True)
class Live:
    """A row that is being worked on."""

    row: int
    """Its number in the core."""
    index: int
    """Its number in the run: lower is older."""
    left_tokens: int
    """How many more tokens it may make."""
    stop_ids: frozenset[int]
    matcher: "Matcher | None" = None
    """Where its completion is in its grammar."""
    scoring: "Scoring | None" = None
    """What is known of its prompt's log-probabilities."""
    admitted: bool = False
    """Whether it holds cache blocks."""


@dataclass(frozen=True, slots=True)
class Share:
    """One row's part in a step."""

    live: Live
    count: int


def plan(rows: Sequence[Live], blocks: Blocks, budget_tokens: int, block_tokens: int) -> list[Share]:
    """Choose the shares of one step, and reserve what they need.

    Args:
        rows: all live rows, oldest first; not empty.
        blocks: the core.
        budget_tokens: how many tokens a step may compute; at least one prompt token goes in any case.
        block_tokens: positions a cache block.

    Returns:
        At least one share.
    """
    shares: dict[int, Share] = {}
    decoding = [live for live in rows if live.admitted and blocks.pending(live.row) == 1]
    for live in decoding:
        if live.admitted:  # and not preempted for an older one meanwhile
            _give(live, 1, rows, blocks, shares)
    left = max(1, budget_tokens - len(shares))
    for live in rows:
        if left == 0:
            break
        if live.index in shares or not _may_enter(live, rows, blocks, block_tokens):
            continue
        count = min(blocks.pending(live.row), left)
        if _give(live, count, rows, blocks, shares):
            # A prefix found in the cache leaves less to do than there was before the row was admitted.
            done = min(count, blocks.pending(live.row))
            shares[live.index] = Share(live, done)
            left -= done
    return [shares[index] for index in sorted(shares)]


def room(rows: Sequence[Live], blocks: Blocks, block_tokens: int, most_rows: int) -> Room:
    """What could join: seats, and cache for prompts beside the rows' next blocks and what waits already."""
    waiting = sum(blocks.pending(live.row) for live in rows if not live.admitted)
    tokens = (blocks.available_blocks - len(rows)) * block_tokens - waiting
    return Room(rows=max(0, most_rows - len(rows)) if tokens > 0 else 0, tokens=max(0, tokens))


def _may_enter(live: Live, rows: Sequence[Live], blocks: Blocks, block_tokens: int) -> bool:
    if live.admitted or live is rows[0]:
        return True
    wanted = -(-(blocks.pending(live.row) + 1) // block_tokens)
    return wanted + sum(other.admitted for other in rows) <= blocks.available_blocks


def _give(live: Live, count: int, rows: Sequence[Live], blocks: Blocks, shares: dict[int, Share]) -> bool:
    """Reserve for the row, setting back younger ones as needed; False when it has to wait or went itself."""
    while not blocks.reserve(live.row, count):
        younger = [other for other in rows if other.admitted and other.index > live.index]
        victim = younger[-1] if younger else live
        if victim.admitted:
            blocks.preempt(victim.row)
            victim.admitted = False
            shares.pop(victim.index, None)
        if victim is live:
            return False
    live.admitted = True
    shares[live.index] = Share(live, count)
    return True
