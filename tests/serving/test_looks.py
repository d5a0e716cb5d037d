"""Scans of the model folders: one scan at a time, and at most one a second for unknown names."""

import asyncio
from typing import Any

import pytest

from server.serving.folders import REST_S, Looks

pytestmark = pytest.mark.anyio


class Disk:
    """What is looked at: a look ends when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.under_way = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.now_s = 100.0
        self.naps: list[float] = []
        self.looks = Looks(self.look, clock=lambda: self.now_s, sleep=self.sleep)

    async def look(self) -> None:
        self.begun += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.gate.wait()
        self.under_way -= 1

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now_s += seconds


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def all_of(*asked: Any) -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*asked)


async def test_those_who_ask_while_one_look_is_under_way_share_the_next() -> None:
    disk = Disk()
    first = asyncio.create_task(disk.looks.fresh())
    await settle()
    later = [asyncio.create_task(disk.looks.fresh()) for _ in range(50)]
    await settle()
    assert disk.begun == 1
    disk.gate.set()
    await all_of(first, *later)
    assert (disk.begun, disk.most) == (2, 1)


async def test_made_up_names_cost_one_look_a_second() -> None:
    disk = Disk()
    disk.gate.set()
    for _ in range(3):
        await all_of(*(disk.looks.unknown() for _ in range(100)))
    assert disk.begun == 3
    assert disk.naps == [REST_S, REST_S]
    disk.now_s += 10
    await all_of(disk.looks.unknown())
    assert len(disk.naps) == 2, "nobody waits after a pause"


async def test_who_leaves_takes_the_look_from_nobody() -> None:
    disk = Disk()
    one, other = (asyncio.create_task(disk.looks.unknown()) for _ in range(2))
    await settle()
    one.cancel()
    await settle()
    disk.gate.set()
    await all_of(other)
    assert disk.begun == 1
