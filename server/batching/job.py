"""A job: the rows of one request, and the stream of their pieces and outcomes.

A job belongs to the event loop: every method here is called on it. Lanes know only a job's ``Seat``s, which they mark
and never read text from.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic

from server.engines.base import PieceT, ResultT, RowT
from server.errors import ServerError


@dataclass(eq=False, slots=True)
class Seat(Generic[RowT]):
    """One row in the queue or at work. ``taken_s`` and ``rows`` are written by the lane that took it."""

    row: RowT
    index: int
    key: Hashable
    tokens: int
    background: bool = False
    """Whether the row goes behind those that are not."""
    wanted: bool = True
    taken_s: float | None = None
    batch_rows: int = 0


@dataclass(frozen=True, slots=True)
class Piece(Generic[PieceT]):
    """A piece of the row at ``index`` of the job."""

    index: int
    piece: PieceT


@dataclass(frozen=True, slots=True)
class Outcome(Generic[ResultT]):
    """The end of the row at ``index`` of the job."""

    index: int
    result: ResultT | ServerError


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a job's events, on the clock of ``time.perf_counter``; None for an event that has not happened."""

    queued_s: float
    taken_s: float | None
    first_s: float | None
    ended_s: float | None
    batch_rows: int
    """Rows of the largest batch that one of the job's rows was in."""


class Job(Generic[RowT, PieceT, ResultT]):
    """The rows of one request. It always ends: with a result or an error for every wanted row."""

    def __init__(self, seats: Sequence[Seat[RowT]], queued_s: float, left: Callable[[], None]) -> None:
        self.seats = seats
        self._queued_s = queued_s
        self._left = left
        self._events: deque[Piece[PieceT] | Outcome[ResultT]] = deque()
        self._open = len(seats)
        self._ended: set[int] = set()
        self._first_s: float | None = None
        self._ended_s: float | None = None
        self._news: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def timing(self) -> Timing:
        """The times so far."""
        taken = [s.taken_s for s in self.seats if s.taken_s is not None]
        return Timing(
            queued_s=self._queued_s,
            taken_s=min(taken, default=None),
            first_s=self._first_s,
            ended_s=self._ended_s,
            batch_rows=max((s.batch_rows for s in self.seats), default=0),
        )

    @property
    def over(self) -> bool:
        """Whether every row has ended or is unwanted."""
        return self._open == 0

    async def events(self) -> AsyncIterator[Piece[PieceT] | Outcome[ResultT]]:
        """Yield pieces and outcomes as they come, each row's outcome after its last piece.

        Leaving the iteration early cancels nothing by itself: call ``cancel``.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            if self.over:
                return
            self._news = asyncio.get_running_loop().create_future()
            await self._news

    async def results(self) -> list[ResultT]:
        """Wait for all rows and return their results in the order of the rows.

        Raises:
            ServerError: a row's error, the first that came; the other rows are then cancelled.
        """
        results: dict[int, ResultT] = {}
        async for event in self.events():
            if isinstance(event, Outcome):
                if isinstance(event.result, ServerError):
                    self.cancel()
                    raise event.result
                results[event.index] = event.result
        return [results[i] for i in range(len(self.seats))]

    async def ended(self) -> None:
        """Wait until every row has ended or is cancelled. Reads no events, so another reader gets all of them."""
        if not self.over:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def fail(self, error: ServerError, now_s: float) -> None:
        """End every open row with this error, and cancel it."""
        for seat in self.seats:
            if seat.index not in self._ended:
                seat.wanted = False
                self.deliver(Outcome(seat.index, error), now_s)
        self._left()

    def drop(self, index: int) -> None:
        """Cancel a row: it leaves the queue, or stops at its next step."""
        if self.seats[index].wanted and index not in self._ended:
            self.seats[index].wanted = False
            self._events = deque(event for event in self._events if event.index != index)
            self._end(index)
            self._left()

    def cancel(self) -> None:
        """Cancel all rows."""
        dropped = [s for s in self.seats if s.wanted and s.index not in self._ended]
        for seat in dropped:
            seat.wanted = False
            self._end(seat.index)
        if dropped:
            self._left()
        self._events.clear()

    def deliver(self, event: Piece[PieceT] | Outcome[ResultT], now_s: float) -> None:
        """Take one event from a lane. Events of a row that has ended or is cancelled are dropped."""
        if event.index in self._ended:
            return
        if self._first_s is None:
            self._first_s = now_s
        self._events.append(event)
        if isinstance(event, Outcome):
            self._end(event.index)
        self._wake()

    def _end(self, index: int) -> None:
        self._ended.add(index)
        self._open -= 1
        self._wake()
        if self.over:
            self._ended_s = time.perf_counter()
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
