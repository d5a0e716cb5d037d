"""Three models in memory: real processes of the fake engine, with a clock and memory sizes that the test sets."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines.fake import FakeRow
from server.engines.kinds import KINDS, EngineSpec
from server.engines.process.supervisor import ProcessEngine
from server.serving.memory import LoadedModel, ModelMemory

SIZE = 100
"""What every model takes here."""


class Unobserved:
    def batch(self, rows: int, tokens: int, padding_ratio: float) -> None: ...


class Loads:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.count = 0

    def loaded(self, seconds: float) -> None:
        self.count += 1

    def restarted(self) -> None: ...


class Kept:
    """A memory with models a, b, c."""

    def __init__(self, options: dict[str, Any], **kwargs: Any) -> None:
        self.now_s = 0.0
        self.size = SIZE
        measure = kwargs.pop("measure", lambda pid: self.size)
        self.memory = ModelMemory(clock=lambda: self.now_s, measure=measure, **kwargs)
        self.residents: dict[str, LoadedModel] = {}
        self.loads: dict[str, Loads] = {}
        self._gates: list[Path] = []
        for name in "abc":
            self.loads[name] = Loads()
            engine = ProcessEngine(EngineSpec("fake", options=options), self.loads[name])
            batcher: Batcher[Any, Any, Any] = Batcher(
                engine, KINDS["fake"], Limits(rows=8, tokens=1000), cores=CoreBudget(2), observer=Unobserved()
            )
            self.residents[name] = LoadedModel(name, engine, batcher, SIZE)
            self.memory.add(self.residents[name])

    @property
    def states(self) -> str:
        return " ".join(model.engine.state for model in self.residents.values())

    def state(self, name: str) -> str:
        return self.residents[name].engine.state

    async def until(self, *states: str) -> None:
        """Wait for what processes and threads are about to do."""
        while self.states != " ".join(states):  # noqa: ASYNC110  what is watched has no event
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)

    def ask(self, name: str, row: FakeRow | None = None) -> Any:
        return self.residents[name].batcher.submit([row or FakeRow(name)])

    async def answer(self, name: str) -> None:
        """A whole request, and the lane's way back to rest."""
        self.now_s += 1
        assert await self.ask(name).results() == [name]
        while not self.residents[name].batcher.idle:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.001)


Make = Callable[..., Any]


@pytest.fixture
def keeping() -> Make:
    @asynccontextmanager
    async def make(options: dict[str, Any] | None = None, **kwargs: Any) -> AsyncIterator[Kept]:
        kept = Kept(options or {}, **kwargs)
        try:
            async with asyncio.timeout(60):
                yield kept
        finally:
            await kept.memory.close()

    return make


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path
