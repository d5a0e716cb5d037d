"""The engine contract: rows in, pieces and outcomes out.

A *row* is tokenised, validated work for one model. An engine is given rows and an *outbox*; into
it go, per row, any number of *pieces* (one a token, for generators) and then exactly one *outcome*.
An engine knows ids and numbers, never text, requests, threads of others or processes.

Rows are numbered in the order an engine was given them within one ``run``: the rows it began with
are 0..n-1, those that join at a step go on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from server.errors import ServerError

State = Literal["unloaded", "loading", "ready", "restarting", "unloading", "failed", "closed"]
"""Of an engine and the model it serves. ``failed`` ends only by loading it anew, ``closed`` never."""

RowT = TypeVar("RowT")
PieceT = TypeVar("PieceT")
PieceT_contra = TypeVar("PieceT_contra", contravariant=True)
PieceT_co = TypeVar("PieceT_co", covariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)
ResultT_contra = TypeVar("ResultT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Room:
    """What an engine could take on at this step."""

    rows: int
    tokens: int
    cache_usage: float = 0.0
    """The share of the cache's blocks that running rows hold, 0 to 1; always 0 for an engine without such a cache."""


NO_ROOM = Room(rows=0, tokens=0)


@dataclass(frozen=True, slots=True)
class Turn(Generic[RowT]):
    """What changed since the last step."""

    joined: Sequence[RowT] = ()
    """Rows that join the running batch, numbered on from the last; never more than the room."""
    dropped: Sequence[int] = ()
    """Rows nobody wants any longer: stop them. No outcome is expected, one does no harm."""


class Outbox(Protocol[RowT, PieceT_contra, ResultT_contra]):
    """Where an engine puts what it makes. Every method may be called from any one thread at a time."""

    def piece(self, row: int, piece: PieceT_contra) -> None:
        """Add one piece to a row that has no outcome yet."""

    def done(self, row: int, outcome: ResultT_contra | ServerError) -> None:
        """End a row; it may end long before its neighbours do. Later words about it are ignored."""

    @property
    def contended(self) -> bool:
        """Whether the next ``step`` will wait, because another engine is to have the cores."""

    def step(self, room: Room = NO_ROOM) -> Turn[RowT]:
        """End a step: deliver what was put, and learn what changed.

        A generator calls it once for each token position, other engines may call it never. It may
        block while another engine has the cores: the caller must not be computing meanwhile.
        """


class Engine(Protocol[RowT, PieceT_co, ResultT_co]):
    """One model. ``run`` is never called on the event loop and may run in ``lanes`` threads at once."""

    def run(self, rows: Sequence[RowT], out: Outbox[RowT, PieceT_co, ResultT_co]) -> None:
        """Work on the rows until each has an outcome.

        Raises:
            Exception: whatever went wrong with the batch as a whole; rows without an outcome fail.
        """

    def close(self) -> None:
        """Free the model. No ``run`` is under way and none follows."""
