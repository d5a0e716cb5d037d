"""Judges a batching policy without a model: the server's own rules, an engine that is a formula, no clock.

    python -m load_tests.simulator load_tests/scenarios/simulated/mixed.toml [--policy oldest-first ...]

A discrete-event simulation: requests arrive (at random times, or when a client has its answer), lanes take
batches as `server.batching.batcher` does, an engine's time is `Cost`. The same scenario and seed give the
same numbers. Knows no threads, no cores shared between models, no HTTP.
"""

import argparse
import heapq
import itertools
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load_tests.cache import Decode
from load_tests.policies import POLICIES, Policy
from load_tests.scenario import Scenario
from server.engines.base import Room


@dataclass(slots=True, eq=False)
class Row:
    """A row in the queue or at work: what a policy sees of it, and when things happened."""

    request: "Request"
    key: str
    tokens: int
    steps: int
    taken_s: float = -1.0
    batches_waited: int = 0


@dataclass(slots=True, eq=False)
class Request:
    """A job."""

    kind: int
    queued_s: float
    rows: list[Row] = field(default_factory=list)
    open: int = 0
    ended_s: float = -1.0


@dataclass(slots=True)
class Seen:
    """The figures of one kind of client."""

    requests: int = 0
    rows: int = 0
    waits_s: list[float] = field(default_factory=list)
    """From the queue to the batch, each row."""
    latencies_s: list[float] = field(default_factory=list)
    """From the queue to the last outcome, each request."""
    batches_waited: list[int] = field(default_factory=list)
    """How many batches began while the request's first row waited."""


@dataclass(slots=True)
class Report:
    """The results of one run."""

    seconds: float
    kinds: dict[str, Seen]
    batches: int = 0
    batch_rows: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    preemptions: int = 0
    """Rows whose cache went to older ones, and that were computed again."""
    busy_s: float = 0.0
    idle_beside_work_s: float = 0.0
    """Time a lane stood free while rows waited: zero for a work-conserving policy."""

    @property
    def rows_per_s(self) -> float:
        """Throughput."""
        return sum(seen.rows for seen in self.kinds.values()) / self.seconds

    def lines(self) -> Iterator[str]:
        """For people."""
        padding = 1 - self.tokens / max(1, self.padded_tokens)
        fill = self.batch_rows / max(1, self.batches)
        again = f", {self.preemptions} preempted" if self.preemptions else ""
        yield f"{self.rows_per_s:9.1f} rows/s, {fill:.1f} rows a batch, {padding:.0%} padding{again}"
        for name, seen in self.kinds.items():
            if seen.latencies_s:
                yield (
                    f"  {name:12} {seen.requests:6} requests; ms: wait {1000 * statistics.mean(seen.waits_s):.0f}, "
                    f"latency {1000 * statistics.mean(seen.latencies_s):.0f}, p95 {1000 * p95(seen.latencies_s):.0f}; "
                    f"batches waited at most {max(seen.batches_waited)}"
                )


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not pass."""
    return sorted(values)[int(0.95 * (len(values) - 1))]


class Simulation:
    """One run of a scenario under a policy."""

    def __init__(self, scenario: Scenario, policy: Policy) -> None:
        self._scenario = scenario
        self._policy = policy
        self._now_s = self._marked_s = 0.0
        self._order = itertools.count()
        self._events: list[tuple[float, int, Any]] = []
        self._queue: list[list[Row]] = []
        self._draws = [random.Random(f"{scenario.seed} {each.name}") for each in scenario.traffic]
        self._sent = [0] * len(scenario.traffic)
        self._free = scenario.lanes
        self.report = Report(scenario.seconds, {each.name: Seen() for each in scenario.traffic})

    def run(self) -> Report:
        """Simulate to the end of the scenario's time."""
        for kind, traffic in enumerate(self._scenario.traffic):
            for _ in range(traffic.clients):
                self._at(traffic.begin_s, kind)
            if not traffic.clients:
                self._at(traffic.begin_s + self._pause_s(kind), kind)
        while self._events and self._events[0][0] <= self._scenario.seconds:
            at_s, _, event = heapq.heappop(self._events)
            if self._free and self._queue:
                self.report.idle_beside_work_s += at_s - self._now_s
            self._now_s = at_s
            if isinstance(event, int):
                self._arrive(event)
            elif isinstance(event, Decode):
                self._stepped(event)
            else:
                self._finish(event)
            if not (self._events and self._events[0][0] == at_s):  # all that happens now has happened
                while self._free and self._queue:
                    self._begin()
        return self.report

    def _arrive(self, kind: int) -> None:
        traffic, draw = self._scenario.traffic[kind], self._draws[kind]
        if traffic.requests is not None and self._sent[kind] >= traffic.requests:
            return
        self._sent[kind] += 1
        request = Request(kind, self._now_s)
        request.rows = [
            Row(request, draw.choice(traffic.keys), draw.randint(*traffic.tokens), draw.randint(*traffic.steps))
            for _ in range(draw.randint(*traffic.rows))
        ]
        request.open = len(request.rows)
        self._queue.append(list(request.rows))
        if not traffic.clients:
            self._at(self._now_s + self._pause_s(kind), kind)

    def _begin(self) -> None:
        batch = self._pick(self._policy.take(self._queue, self._scenario.limits))
        self._free -= 1
        if self._scenario.cache is None:
            self._spend(batch, [row.tokens for row in batch])
        else:
            self._go_on(Decode(self._scenario.cache, self._scenario.limits.rows, batch[0].key), batch)
        for job in self._queue:
            job[0].batches_waited += 1

    def _go_on(self, decode: Decode[Row], joined: Sequence[Row]) -> None:
        """The next step of rows that decode over cache blocks."""
        for row in joined:
            decode.join(row, row.tokens, row.steps)
        before = len(decode.blocks.preempted_rows)
        sizes = decode.begin_step()
        self.report.preemptions += len(decode.blocks.preempted_rows) - before
        self._spend(decode, sizes)

    def _stepped(self, decode: Decode[Row]) -> None:
        ended = decode.end_step()
        for row in ended:
            self._end(row)
        joined = self._pick(self._policy.refill(self._queue, decode.key, decode.room())) if self._queue else []
        if joined or len(decode):
            self._go_on(decode, joined)
        else:
            self._free += 1

    def _spend(self, batch: "list[Row] | Decode[Row]", sizes: Sequence[int]) -> None:
        """Keep a lane busy with the batch: with all of it, or with its next step."""
        spent_s = self._scenario.cost.of(sizes)
        self.report.busy_s += spent_s
        self.report.batches += 1
        self.report.batch_rows += len(sizes)
        self.report.tokens += sum(sizes)
        self.report.padded_tokens += max(sizes, default=0) * len(sizes)
        self._at(self._now_s + spent_s, batch)

    def _finish(self, batch: list[Row]) -> None:
        going_on: list[Row] = []
        for row in batch:
            row.steps -= 1 if self._scenario.refill else row.steps
            if row.steps > 0:
                going_on.append(row)
            else:
                self._end(row)
        if not self._scenario.refill:
            self._free += 1
            return
        limits = self._scenario.limits
        room = Room(limits.rows - len(going_on), limits.tokens - sum(row.tokens for row in going_on))
        key = batch[0].key
        joined = self._pick(self._policy.refill(self._queue, key, room)) if self._queue else []
        if not going_on and not joined:
            self._free += 1
            return
        # A decode step reads a token of each row, and the whole prompt of those that joined.
        self._spend(going_on + joined, [1] * len(going_on) + [row.tokens for row in joined])

    def _pick(self, picks: Sequence[tuple[int, int]]) -> list[Row]:
        rows = [self._queue[j][i] for j, i in picks]
        order = self._policy.turns(self._queue, picks)
        for j, i in sorted(picks, reverse=True):
            del self._queue[j][i]
        self._queue = [self._queue[j] for j in order]
        for row in rows:
            row.taken_s = self._now_s
        return rows

    def _end(self, row: Row) -> None:
        request = row.request
        request.open -= 1
        seen = self.report.kinds[self._scenario.traffic[request.kind].name]
        seen.rows += 1
        seen.waits_s.append(row.taken_s - request.queued_s)
        if request.open == 0:
            seen.requests += 1
            seen.latencies_s.append(self._now_s - request.queued_s)
            seen.batches_waited.append(request.rows[0].batches_waited)
            if self._scenario.traffic[request.kind].clients:
                self._at(self._now_s, request.kind)

    def _pause_s(self, kind: int) -> float:
        return self._draws[kind].expovariate(self._scenario.traffic[kind].rate_per_s or 1e-9)

    def _at(self, at_s: float, event: Any) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), event))


def simulate(scenario: Scenario, policy: Policy | None = None) -> Report:
    """Run a scenario; without a policy, under the server's."""
    return Simulation(scenario, policy or Policy()).run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="+", type=Path)
    parser.add_argument("--policy", action="append", choices=sorted(POLICIES), help="default: all")
    asked = parser.parse_args()
    chosen: Mapping[str, Policy] = {name: POLICIES[name] for name in asked.policy or POLICIES}
    for file in asked.scenarios:
        scenario = Scenario.read(file)
        for name, policy in chosen.items():
            first, *rest = simulate(scenario, policy).lines()
            print(f"{file.stem}, {name}: {first.strip()}")
            print("\n".join(rest))


if __name__ == "__main__":
    main()
