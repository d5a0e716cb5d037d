"""Decides which rows compute how many tokens in the next step. Uses no threads, no clock, and only the core's blocks.

The rules:

1. Every decoding row computes one token in each step, so a long prompt never stalls the others.
2. The rest of the step's token budget goes to prompts in chunks, oldest row first.
3. If the cache has too few free blocks, the youngest row is preempted: it gives its blocks back, keeps its tokens, and
   is computed again later. The oldest row is never preempted for another, so it always finishes.
4. While a row that is no background work reads its prompt, background rows compute nothing. They are the first to be
   preempted, whatever their age.
5. A row is admitted if its whole prompt fits into the cache together with the next blocks of the other rows. So rows do
   not preempt each other in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from server.engines.base import Room

if TYPE_CHECKING:
    from server.engines.step.grammar import Matcher, ThoughtMatcher
    from server.engines.step.scoring import Scoring


class Blocks(Protocol):
    """The methods of the core that scheduling uses."""

    @property
    def available_blocks(self) -> int:
        """The number of blocks that are free or can be freed."""

    def reserve(self, row: int, count: int) -> bool:
        """Take the blocks for ``count`` more tokens of a row. If there are too few, take none and return False."""

    def preempt(self, row: int) -> None:
        """Give the row's blocks back."""

    def pending(self, row: int) -> int:
        """The number of the row's tokens that are known but not computed."""


@dataclass(slots=True)
class Live:
    """A row in work."""

    row: int
    """The row's number in the core."""
    index: int
    """The row's number in the run; a lower number is older."""
    left_tokens: int
    """The number of tokens that the row may still make."""
    stop_ids: frozenset[int]
    matcher: "Matcher | ThoughtMatcher | None" = None
    """The state of the completion in its grammar; None without a grammar."""
    scoring: "Scoring | None" = None
    """The log-probabilities of the prompt so far; None if the prompt is not scored."""
    admitted: bool = False
    """Whether the row holds cache blocks."""
    background: bool = False
    """Whether the row gives way to rows that are not."""

    @property
    def rank(self) -> tuple[bool, int]:
        """The row's place among all rows; those before it are never preempted for it."""
        return self.background, self.index


@dataclass(frozen=True, slots=True)
class Share:
    """One row's part in a step."""

    live: Live
    count: int


def plan(rows: Sequence[Live], blocks: Blocks, budget_tokens: int, block_tokens: int) -> list[Share]:
    """Choose the shares of one step, and reserve their cache blocks.

    Args:
        rows: all live rows by rank; not empty.
        blocks: the core.
        budget_tokens: the most tokens of a step. At least one prompt token is computed even if the budget is spent.
        block_tokens: the positions of a cache block.

    Returns:
        At least one share.
    """
    shares: dict[int, Share] = {}
    working = ahead(rows, blocks) or rows
    decoding = [live for live in working if live.admitted and blocks.pending(live.row) == 1]
    for live in decoding:
        if live.admitted:  # this loop may have preempted the row for an older one
            _give(live, 1, rows, blocks, shares)
    left = max(1, budget_tokens - len(shares))
    for live in working:
        if left == 0:
            break
        if live.index in shares or not _may_enter(live, rows, blocks, block_tokens):
            continue
        count = min(blocks.pending(live.row), left)
        if _give(live, count, rows, blocks, shares):
            # The row may have found a prefix in the cache when it was admitted, so it has fewer pending tokens now.
            done = min(count, blocks.pending(live.row))
            shares[live.index] = Share(live, done)
            left -= done
    return [shares[index] for index in sorted(shares)]


def ahead(rows: Sequence[Live], blocks: Blocks) -> list[Live]:
    """The rows that are no background work while one of them reads its prompt, since they alone compute then; else
    none."""
    asked = [live for live in rows if not live.background]
    return asked if any(not live.admitted or blocks.pending(live.row) > 1 for live in asked) else []


def room(rows: Sequence[Live], blocks: Blocks, block_tokens: int, most_rows: int) -> Room:
    """The number of rows that could join, and of their prompt tokens.

    The tokens leave room in the cache for the next blocks of running rows and for rows that wait to be admitted.
    """
    waiting = sum(blocks.pending(live.row) for live in rows if not live.admitted)
    tokens = (blocks.available_blocks - len(rows)) * block_tokens - waiting
    return Room(rows=max(0, most_rows - len(rows)) if tokens > 0 else 0, tokens=max(0, tokens))


def _may_enter(live: Live, rows: Sequence[Live], blocks: Blocks, block_tokens: int) -> bool:
    if live.admitted or live is rows[0]:
        return True
    wanted = -(-(blocks.pending(live.row) + 1) // block_tokens)
    return wanted + sum(other.admitted for other in rows) <= blocks.available_blocks


def _give(live: Live, count: int, rows: Sequence[Live], blocks: Blocks, shares: dict[int, Share]) -> bool:
    """Reserve blocks for the row and preempt younger rows if needed. False if the row must wait or was preempted."""
    while not blocks.reserve(live.row, count):
        younger = [other for other in rows if other.admitted and other.rank > live.rank]
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
