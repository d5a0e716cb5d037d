"""The next steps of the open batches, from what their rows say: pure functions, no clock, no database.

A batch is validated, then worked on line by line until no line is left or its time is over or its client cancels it.
Then the lines at work end or are stopped, its files are written, and it is closed. Whatever ends the server, the same
rows lead to the same next step.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from server.store.batches import Batch, Ending

Kind = Literal["validate", "work", "stop", "write"]


class Step(NamedTuple):
    """The next step of a batch. ``stop``: end its lines at work, they wait again. ``ending``: what it is written as."""

    kind: Kind
    ending: Ending | None = None


def step_of(batch: Batch, now: int) -> Step:
    """The next step of an open batch."""
    if batch.ending is not None:
        return Step("write", batch.ending)
    over: Ending | None = None
    if batch.status == "cancelling":
        over = "cancelled"
    elif now >= batch.expires_at:
        over = "expired"
    elif batch.status == "validating":
        return Step("validate")
    elif batch.completed + batch.failed == batch.total:
        over = "completed"
    if over is None:
        return Step("work")
    return Step("stop") if batch.leased else Step("write", over)


def claims(batches: Sequence[Batch], now: int, free: int, left_alone: Collection[int] = ()) -> dict[int, int]:
    """How many lines to claim of which batch, by its number: the next line is always that of a batch with the fewest
    at work, so no long batch keeps another waiting.

    Args:
        batches: all open batches, the oldest first.
        now: the present time.
        free: lines that may be claimed together.
        left_alone: batches of which none is claimed now.
    """
    able = [
        batch
        for batch in batches
        if batch.number not in left_alone and batch.waiting > 0 and step_of(batch, now).kind == "work"
    ]
    made = dict.fromkeys((batch.number for batch in able), 0)
    for _ in range(free):
        able = [batch for batch in able if batch.waiting > made[batch.number]]
        if not able:
            break
        least = min(able, key=lambda batch: batch.leased + made[batch.number])
        made[least.number] += 1
    return made
