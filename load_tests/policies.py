"""Policies to compare in the simulator: the server's, and what was tried beside it."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from server.batching import policy
from server.batching.policy import Limits, Pick, Queue
from server.engines.base import Room


@dataclass(frozen=True, slots=True)
class Policy:
    """The decisions of a batcher: the rows of a new batch, the rows that join one, and the next job."""

    take: Callable[[Queue, Limits], list[Pick]] = policy.take
    refill: Callable[[Queue, Hashable, Room], list[Pick]] = policy.refill
    turns: Callable[[Queue, Sequence[Pick]], list[int]] = policy.turns


def oldest_first(queue: Queue, picks: Sequence[Pick]) -> list[int]:
    """Jobs keep their order however often they were served: a list is worked off before its key changes."""
    served = policy.turns(queue, picks)
    return sorted(served)


def dealt(queue: Queue, limits: Limits) -> list[Pick]:
    """Rows as dealt, whatever their lengths."""
    if not queue:
        return []
    key, picks, longest = queue[0][0].key, list[Pick](), 0
    most = max(len(job) for job in queue)
    for j, i in ((j, i) for i in range(most) for j, job in enumerate(queue) if i < len(job)):
        row = queue[j][i]
        high = max(longest, row.tokens)
        if row.key == key and (not picks or high * (len(picks) + 1) <= limits.tokens):
            picks.append((j, i))
            longest = high
        if len(picks) == limits.rows:
            break
    return picks


def alone(queue: Queue, limits: Limits) -> list[Pick]:
    """No batches at all."""
    return policy.take(queue, replace(limits, rows=1))


POLICIES: Mapping[str, Policy] = {
    "server": Policy(),
    "oldest-first": Policy(take=dealt, turns=oldest_first),
    "turns-without-lengths": Policy(take=dealt),
    "lengths-without-turns": Policy(turns=oldest_first),
    "alone": Policy(take=alone),
}
