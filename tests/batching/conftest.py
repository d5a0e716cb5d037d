import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines.fake import FakeEngine
from server.engines.kinds import KINDS, EngineSpec


class Batches:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def batch(self, rows: int, tokens: int, padding_ratio: float) -> None:
        self.rows.append(rows)


Make = Callable[..., Any]


@pytest.fixture
def serving() -> Make:
    """``async with serving(refill=…, lanes=…) as (batcher, engine)``: a batcher on the fake engine."""

    @asynccontextmanager
    async def make(limits: Limits | None = None, cores: CoreBudget | None = None, **kwargs: Any) -> AsyncIterator[Any]:
        options = {name: kwargs.pop(name) for name in ("refill", "capacity") if name in kwargs}
        engine = kwargs.pop("engine", None) or FakeEngine(EngineSpec("fake", options=options))
        batcher: Batcher[Any, Any, Any] = Batcher(
            engine,
            KINDS["fake"],
            limits or Limits(rows=8, tokens=1000),
            cores=cores or CoreBudget(2),
            observer=Batches(),
            **kwargs,
        )
        batcher.start()
        try:
            async with asyncio.timeout(20):
                yield batcher, engine
        finally:
            async with asyncio.timeout(20):
                await batcher.stop()

    return make
