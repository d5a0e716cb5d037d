"""The batcher: a queue of waiting rows, and the lanes that run them.

Work-conserving: no timer waits for a batch to fill. A free lane takes the rows that wait, and batches form by
themselves while it is busy. Admission is atomic: the queue takes all rows of a request or none, before its first byte.

The event loop calls ``submit`` and owns the jobs; a lane is a thread that takes batches and runs the
engine. They share the queue under one lock, held for microseconds.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, Protocol

from server.batching import policy
from server.batching.cores import CoreBudget
from server.batching.job import Job, Seat
from server.batching.outbox import BatchOutbox
from server.batching.policy import Limits
from server.engines.base import Engine, PieceT, ResultT, Room, RowT, background
from server.engines.kinds import Kind
from server.errors import EngineFailed, Overloaded, ServerError, TooLarge, Unavailable


class Observer(Protocol):
    """Counts batches. Lane threads call it, so it must not block."""

    def batch(self, rows: int, tokens: int, padding_ratio: float) -> None:
        """A batch begins; ``padding_ratio`` is the share of its tokens that only fill rows up."""


log = logging.getLogger(__name__)


class Batcher(Generic[RowT, PieceT, ResultT]):
    """The queue before one engine.

    Args:
        engine: started already; its owner closes it.
        kind: the costs and the keys of this engine's rows.
        limits: how large one batch may grow.
        lanes: how many batches run at once, each in a thread.
        cores: the machine's budget; a batch holds ``lane_cores`` of it while it runs.
        waiting_rows, waiting_tokens: how much may wait.

    ``on_work`` is called on the event loop when rows have come into the queue, ``on_idle`` when no work is left.
    """

    def __init__(
        self,
        engine: Engine[RowT, PieceT, ResultT],
        kind: Kind,
        limits: Limits,
        *,
        cores: CoreBudget,
        observer: Observer,
        lanes: int = 1,
        lane_cores: int = 1,
        waiting_rows: int = 4096,
        waiting_tokens: int = 1_000_000,
        name: str = "model",
    ) -> None:
        self.engine = engine
        self._kind = kind
        self._limits = limits
        self._cores = cores
        self._lane_cores = lane_cores
        self._observer = observer
        self._most_rows = waiting_rows
        self._most_tokens = waiting_tokens
        self._changed = threading.Condition()
        self._queue: list[tuple[Job[RowT, PieceT, ResultT], list[Seat[RowT]]]] = []
        self._rows = 0
        self._tokens = 0
        self._jobs: set[Job[RowT, PieceT, ResultT]] = set()
        self._tokens_per_s = 1000.0
        self._refusal: ServerError | None = None
        self._stopping = False
        self._held = False
        self._batches = 0
        self.on_work: Callable[[], None] | None = None
        self.on_idle: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-lane-{i}", daemon=True) for i in range(lanes)
        ]

    # --- the event loop's side -------------------------------------------------------------------------

    def start(self) -> None:
        """Start the lanes. Called on the event loop that will call everything else."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    def submit(self, rows: Sequence[RowT]) -> Job[RowT, PieceT, ResultT]:
        """Put the rows of one request in the queue: all of them or none.

        Raises:
            Overloaded: the queue is full.
            TooLarge: the request alone is more than the queue holds.
            Unavailable: the server is draining.
        """
        self.require_room(len(rows))
        behind = background.get()
        seats = [Seat(row, i, self._kind.key(row), self._kind.tokens(row), behind) for i, row in enumerate(rows)]
        tokens = sum(seat.tokens for seat in seats)
        if tokens > self._most_tokens:
            raise TooLarge("The request", tokens, self._most_tokens, "tokens")
        job: Job[RowT, PieceT, ResultT] = Job(seats, time.perf_counter(), lambda: self._left(job))
        with self._changed:
            if self._refusal is not None:
                raise replace(self._refusal)  # one raised again and again would keep the tracebacks of all
            # Background work alone never fills more than half of the queue.
            share = 2 if behind and self._queue else 1
            rows_then, tokens_then = self._rows + len(seats), self._tokens + tokens
            if rows_then * share > self._most_rows or tokens_then * share > self._most_tokens:
                raise Overloaded(max(1.0, self._tokens / self._tokens_per_s))
            if seats:
                self._queue.append((job, list(seats)))
                self._rows += len(seats)
                self._tokens += tokens
                self._jobs.add(job)
                self._changed.notify(len(seats))
        if seats and self.on_work is not None:
            self.on_work()
        return job

    def require_room(self, rows: int) -> None:
        """Raise ``TooLarge`` for more rows than the queue ever holds. Called before the rows are made."""
        if rows > self._most_rows:
            raise TooLarge("The request", rows, self._most_rows, "rows")

    @property
    def waiting(self) -> tuple[int, int, int]:
        """Requests, rows and tokens in the queue."""
        with self._changed:
            return len(self._queue), self._rows, self._tokens

    @property
    def running(self) -> int:
        """Requests of which at least one row has been taken and not all have ended."""
        with self._changed:
            return sum(any(seat.taken_s is not None for seat in job.seats) for job in self._jobs)

    @property
    def idle(self) -> bool:
        """Whether no request waits or runs and no batch is at work, not even on rows that were cancelled."""
        with self._changed:
            return not self._jobs and not self._batches

    def hold(self) -> None:
        """Pause the queue, since the engine is not in memory: rows wait. ``release`` ends the pause."""
        with self._changed:
            self._held = True

    def release(self) -> None:
        """Let the lanes take rows again."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def fail_waiting(self, error: ServerError) -> None:
        """End every request in the queue with this error. Their rows that are at work stop at the next step."""
        with self._changed:
            jobs = [job for job, _ in self._queue]
            self._queue.clear()
            self._rows = self._tokens = 0
        for job in jobs:
            job.fail(replace(error), time.perf_counter())

    def refuse(self, error: ServerError | None) -> None:
        """From now on every ``submit`` raises this; None opens the queue again."""
        with self._changed:
            self._refusal = error

    async def drained(self) -> None:
        """Wait until nothing waits or runs. Refuse first, or this may take for ever."""
        while jobs := list(self._jobs):
            await jobs[0].ended()
            self._forget(jobs[0])

    async def stop(self, reason: str = "The server is shutting down.") -> None:
        """End the lanes. Rows in the queue and rows at work end with ``Unavailable``; every stream ends."""
        with self._changed:
            self._refusal = Unavailable(reason)
            self._stopping = True
            self._queue.clear()
            self._rows = self._tokens = 0
            jobs = list(self._jobs)
            self._changed.notify_all()
        for job in jobs:
            job.fail(Unavailable(reason), time.perf_counter())
        for thread in self._threads:
            if thread.is_alive():
                await asyncio.to_thread(thread.join)

    def _left(self, job: Job[RowT, PieceT, ResultT]) -> None:
        """Take the job's cancelled rows out of the queue."""
        with self._changed:
            for i, (other, seats) in enumerate(self._queue):
                if other is job:
                    self._gone(seat for seat in seats if not seat.wanted)
                    seats[:] = [seat for seat in seats if seat.wanted]
                    if not seats:
                        del self._queue[i]
                    break
        if job.over:
            self._forget(job)

    def _forget(self, job: Job[RowT, PieceT, ResultT]) -> None:
        with self._changed:
            self._jobs.discard(job)

    def _gone(self, seats: Iterable[Seat[RowT]]) -> None:
        """Subtract seats that have left the queue from its counts. Called under the lock."""
        for seat in seats:
            self._rows -= 1
            self._tokens -= seat.tokens

    # --- the lanes' side --------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: (self._queue and not self._held) or self._stopping)
                if self._stopping:
                    return
            # Cores first, rows second: rows that arrive while this lane waits for cores join its batch.
            with self._cores.grant(self._lane_cores) as grant:
                taken = self._take(self._choose)
                if taken:
                    self._work(taken, BatchOutbox(taken, grant, self._deliver, self._join, lambda: self._stopping))
            with self._changed:
                self._batches -= bool(taken)
                idle = not self._queue and not self._batches
            if idle and self.on_idle is not None:
                self._tell(self.on_idle)

    def _choose(self, queue: Sequence[Sequence[Seat[RowT]]]) -> Sequence[policy.Pick]:
        """A batch for this lane, which leaves the other free lanes their share. Called under the lock."""
        free = len(self._threads) - self._batches
        picks = policy.take(queue, policy.shared(self._limits, self._rows, free))
        self._batches += bool(picks)
        return picks

    def _work(
        self, taken: Sequence[tuple[Job[RowT, PieceT, ResultT], Seat[RowT]]], run: BatchOutbox[RowT, PieceT, ResultT]
    ) -> None:
        sizes = [seat.tokens for _, seat in taken]
        self._observer.batch(len(sizes), sum(sizes), 1 - sum(sizes) / max(1, max(sizes) * len(sizes)))
        began_s = time.perf_counter()
        try:
            self.engine.run([seat.row for _, seat in taken], run)
            run.end(EngineFailed("the engine returned without an outcome for this row"))
        except ServerError as error:
            run.end(error)
        except Exception as error:
            log.exception("an engine failed on a batch that began with %d rows", len(taken))
            run.end(EngineFailed(f"{type(error).__name__}: {error}"))
        spent_s = time.perf_counter() - began_s
        if spent_s > 0:
            self._tokens_per_s += 0.1 * (run.tokens / spent_s * len(self._threads) - self._tokens_per_s)

    def _join(self, key: Hashable, room: Room) -> Sequence[tuple[Job[RowT, PieceT, ResultT], Seat[RowT]]]:
        if not self._queue or not room.rows:
            return ()
        return self._take(lambda queue: policy.refill(queue, key, room, self._limits.kept_rows))

    def _take(
        self, choose: Callable[[Sequence[Sequence[Seat[RowT]]]], Sequence[policy.Pick]]
    ) -> Sequence[tuple[Job[RowT, PieceT, ResultT], Seat[RowT]]]:
        """Take the chosen rows from the queue. Returns nothing if the queue was paused after this lane woke up."""
        now_s = time.perf_counter()
        with self._changed:
            if self._held:
                return ()
            queue = [seats for _, seats in self._queue]
            picks = choose(queue)
            next_turns = policy.turns(queue, picks)
            taken = [(self._queue[j][0], self._queue[j][1][i]) for j, i in picks]
            self._gone(seat for _, seat in taken)
            for j, i in sorted(picks, reverse=True):
                del queue[j][i]
            self._queue = [self._queue[j] for j in next_turns]
        for _, seat in taken:
            seat.taken_s = now_s
        return taken

    def _deliver(self, events: Sequence[tuple[Job[RowT, PieceT, ResultT], Any]]) -> None:
        """Hand a step's events to the event loop: one call for all of them."""
        self._tell(lambda: self._hand_over(events))

    def _tell(self, news: Callable[[], None]) -> None:
        """Call a function on the event loop."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        with suppress(RuntimeError):  # the loop is closed: no request is left
            loop.call_soon_threadsafe(news)

    def _hand_over(self, events: Sequence[tuple[Job[RowT, PieceT, ResultT], Any]]) -> None:
        now_s = time.perf_counter()
        for job, event in events:
            job.deliver(event, now_s)
            if job.over:
                self._forget(job)
