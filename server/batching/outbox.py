"""One batch at work: the outbox that an engine puts its pieces and outcomes into.

An engine's mistake stays with the row that it concerns: events of a row that has ended, was dropped or never existed
are ignored, and a row without an outcome at the end fails alone.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Generic

from server.batching.cores import Grant
from server.batching.job import Job, Outcome, Piece, Seat
from server.engines.base import NO_ROOM, PieceT, ResultT, Room, RowT, Turn
from server.errors import ServerError

Taken = Sequence[tuple[Job[Any, Any, Any], Seat[Any]]]


class BatchOutbox(Generic[RowT, PieceT, ResultT]):
    """The rows of a running batch, those that joined it included.

    Args:
        seats: the rows it begins with.
        grant: the cores it holds.
        deliver: takes a step's events to the event loop.
        join: takes rows for a running batch from the queue.
        stopping: whether every row is to be dropped, since the server stops.
    """

    def __init__(
        self,
        seats: Taken,
        grant: Grant,
        deliver: Callable[[Sequence[tuple[Job[Any, Any, Any], Any]]], None],
        join: Callable[[Hashable, Room], Taken],
        stopping: Callable[[], bool],
    ) -> None:
        self.tokens = sum(seat.tokens for _, seat in seats)
        """Tokens of all rows that the batch has had."""
        self._seats = dict(enumerate(seats))
        """Rows without an outcome: a run that rows keep joining never ends, and must not grow."""
        self._known = len(seats)
        self._grant = grant
        self._deliver = deliver
        self._join = join
        self._stopping = stopping
        self._key: Hashable = seats[0][1].key
        self._events: list[tuple[Job[Any, Any, Any], Any]] = []
        self._count()

    def piece(self, row: int, piece: PieceT) -> None:
        """Add one piece to a row that has no outcome yet."""
        if (place := self._seats.get(row)) is not None:
            job, seat = place
            self._events.append((job, Piece(seat.index, piece)))

    def done(self, row: int, outcome: ResultT | ServerError) -> None:
        """End a row."""
        if (place := self._seats.pop(row, None)) is not None:
            job, seat = place
            self._events.append((job, Outcome(seat.index, outcome)))

    @property
    def contended(self) -> bool:
        """Whether the next ``step`` will wait for the cores."""
        return self._grant.contended

    def step(self, room: Room = NO_ROOM) -> Turn[RowT]:
        """Deliver the step's events, give way to others, drop the unwanted, let new rows join."""
        self._flush()
        if self._grant.contended:
            self._grant.give_way()
        stopping = self._stopping()
        dropped = [row for row, (_, seat) in self._seats.items() if stopping or not seat.wanted]
        for row in dropped:
            del self._seats[row]
        joined: Taken = () if stopping else self._join(self._key, room)
        if joined:
            self._seats.update(enumerate(joined, start=self._known))
            self._known += len(joined)
            self.tokens += sum(seat.tokens for _, seat in joined)
            self._count()
        return Turn(joined=[seat.row for _, seat in joined], dropped=dropped)

    def end(self, forgotten: ServerError) -> None:
        """Called when the engine has returned: rows without an outcome end with this error."""
        for row in sorted(self._seats):
            self.done(row, replace(forgotten))  # one object a row, since each is raised where its row is read
        self._flush()

    def _flush(self) -> None:
        if self._events:
            self._deliver(self._events)
            self._events = []

    def _count(self) -> None:
        for _, seat in self._seats.values():
            seat.batch_rows = max(seat.batch_rows, len(self._seats))
