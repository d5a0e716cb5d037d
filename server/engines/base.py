"""The engine contract: an engine takes rows and returns pieces and outcomes.

A *row* is tokenised, validated work for one model. An engine gets rows and an *outbox*. For each row it puts any number
of *pieces* into the outbox (a generator one for each token) and then exactly one *outcome*. An engine knows ids and
numbers, but no text, no requests, no processes and no threads of others.

Rows are numbered in the order in which an engine gets them within one ``run``. The first rows of the run are 0 to
n - 1, and rows that join at a step have the next numbers.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from server.errors import ServerError

State = Literal["unloaded", "loading", "ready", "restarting", "unloading", "failed", "closed"]
"""The state of an engine and its model. ``failed`` ends only when the model is loaded again, ``closed`` never ends."""

background: ContextVar[bool] = ContextVar("background", default=False)
"""Whether the rows that are made now are background work: they fill seats and steps that requests leave free."""

RowT = TypeVar("RowT")
PieceT = TypeVar("PieceT")
PieceT_contra = TypeVar("PieceT_contra", contravariant=True)
PieceT_co = TypeVar("PieceT_co", covariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)
ResultT_contra = TypeVar("ResultT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Room:
    """The number of rows that an engine could take at this step, and of their tokens together."""

    rows: int
    tokens: int
    cache_usage: float = 0.0
    """The share of the cache's blocks that running rows hold, 0 to 1; always 0 for an engine without a cache."""


NO_ROOM = Room(rows=0, tokens=0)


@dataclass(frozen=True, slots=True)
class Turn(Generic[RowT]):
    """The changes since the last step."""

    joined: Sequence[RowT] = ()
    """Rows that join the running batch, with the next numbers. They never exceed the engine's room."""
    dropped: Sequence[int] = ()
    """The numbers of cancelled rows, which the engine must stop. It may put outcomes of them, but need not."""


class Outbox(Protocol[RowT, PieceT_contra, ResultT_contra]):
    """Takes the pieces and outcomes of an engine. Any thread may call a method, but only one thread at a time."""

    def piece(self, row: int, piece: PieceT_contra) -> None:
        """Add one piece to a row that has no outcome yet."""

    def done(self, row: int, outcome: ResultT_contra | ServerError) -> None:
        """End a row, at any time before other rows end. Later pieces and outcomes of the row are ignored."""

    @property
    def contended(self) -> bool:
        """Whether the next ``step`` will wait because another engine has the cores."""

    def step(self, room: Room = NO_ROOM) -> Turn[RowT]:
        """End a step: deliver its pieces and outcomes, and return the changes.

        A generator calls it once for each token position; other engines need not call it. It may block while another
        engine has the cores, so all threads of the caller must have stopped computing before.
        """


class Engine(Protocol[RowT, PieceT_co, ResultT_co]):
    """One model. ``run`` is never called on the event loop and may run in ``lanes`` threads at once."""

    def run(self, rows: Sequence[RowT], out: Outbox[RowT, PieceT_co, ResultT_co]) -> None:
        """Work on the rows until each has an outcome.

        Raises:
            Exception: the whole batch has failed; rows without an outcome fail with it.
        """

    def close(self) -> None:
        """Free the model. The caller makes sure that no ``run`` is in progress and none follows."""
