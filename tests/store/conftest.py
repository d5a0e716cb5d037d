"""The application of tests/api with an open store, and stores by themselves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.store.files import Quotas, StoredFile
from server.store.store import Store
from tests.api import conftest as api

serving = api.serving
served = api.served
shipped = api.shipped
until = api.until
logged = api.logged


PATIENCE_S = 60.0
"""Every turn of a batch waits for the disk, which a busy machine shares."""


class Clock:
    """Wall and steady time, which a test sets."""

    def __init__(self) -> None:
        self.wall_s = 1_800_000_000.0
        self.steady_s = 50.0

    def passes(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


Opening = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Opening:
    """``async with opened(bytes=…) as store``: a store on the test's folder, which must open."""

    @asynccontextmanager
    async def make(most_pages: int = 0, **quotas: int) -> AsyncIterator[Store]:
        store = Store(tmp_path, Quotas(**quotas), lambda: clock.wall_s, lambda: clock.steady_s, most_pages)
        try:
            assert await store.open(), store.database.problem
            yield store
        finally:
            await store.close()

    return make


async def put(store: Store, content: bytes = b"hello", owner: str = "anna", **facts: Any) -> StoredFile:
    """Keep a file."""
    async with store.files.receive(1_000_000) as incoming:
        await incoming.write(content)
        told = {"purpose": "batch", "filename": "a.jsonl", "lives_s": None} | facts
        return await store.files.add(incoming, owner, **told)


def on_disk(folder: Path) -> set[str]:
    """The names of all contents in a data folder, whole or not."""
    return {file.name for each in ("files", "parts", "incoming") for file in (folder / each).iterdir()}


Kept = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def kept(serving: Any, tmp_path: Path) -> Kept:
    """``async with kept(key_files=…) as served``: the application with an open store on the test's folder, and its
    runner at work."""

    @asynccontextmanager
    async def make(**settings: Any) -> AsyncIterator[Any]:
        async with serving(data_dir=tmp_path / "data", **{"patience_s": PATIENCE_S} | settings) as served:
            assert await served.app.state.store.open()
            running = asyncio.create_task(served.app.state.runner.run())
            try:
                yield served
            finally:
                served.app.state.runner.stop()
                await running
                await served.app.state.store.close()

    return make
