from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from server.engines.base import NO_ROOM, Room, Turn
from server.engines.kinds import EngineSpec
from server.engines.process.supervisor import ProcessEngine


class Sink:
    """An outbox that remembers, and scripts what changes at which step."""

    def __init__(self, join: Sequence[Any] = (), drop_after_pieces: int | None = None) -> None:
        self.pieces: dict[int, list[Any]] = {}
        self.outcomes: dict[int, Any] = {}
        self.order: list[tuple[str, int]] = []
        self.steps = 0
        self.on_step: Callable[[], None] = lambda: None
        self.contended = False
        self._join = list(join)
        self._drop_after = drop_after_pieces
        self._dropped: set[int] = set()

    def piece(self, row: int, piece: Any) -> None:
        self.pieces.setdefault(row, []).append(piece)
        self.order.append(("piece", row))

    def done(self, row: int, outcome: Any) -> None:
        self.outcomes[row] = outcome
        self.order.append(("done", row))

    def step(self, room: Room = NO_ROOM) -> Turn[Any]:
        self.steps += 1
        self.on_step()
        joined = [self._join.pop(0) for _ in range(min(room.rows, len(self._join)))]
        dropped = []
        if self._drop_after is not None and len(self.pieces.get(0, ())) >= self._drop_after and 0 not in self._dropped:
            self._dropped.add(0)
            dropped = [0]
        return Turn(joined=joined, dropped=dropped)


class Watch:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.loads = 0
        self.restarts = 0

    def loaded(self, seconds: float) -> None:
        self.loads += 1

    def restarted(self) -> None:
        self.restarts += 1


@pytest.fixture
def sink() -> type[Sink]:
    return Sink


@pytest.fixture
def processes() -> Iterator[Callable[..., ProcessEngine]]:
    """Start engines in processes of their own; all are closed at the end."""
    started: list[ProcessEngine] = []

    def start(spec: EngineSpec, **kwargs: Any) -> ProcessEngine:
        engine = ProcessEngine(spec, kwargs.pop("watcher", None), **{"backoff_s": lambda n: 0.0} | kwargs)
        engine.load()
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()
