"""A queue without a loaded engine: rows wait, no lane takes rows, and the queue tells its owner when all are done."""

import asyncio
import os
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines.fake import FakeRow
from server.errors import Overloaded, Unavailable

pytestmark = pytest.mark.anyio


async def at_work(gate: Path) -> BinaryIO:
    """Wait until a row that holds on this named pipe has begun; it goes on once what this gives is closed."""
    return await asyncio.to_thread(gate.open, "wb")


async def test_rows_wait_while_the_line_is_held_and_run_once_it_is_released(serving: Any) -> None:
    async with serving(waiting_rows=2) as (batcher, engine), serving() as (other, _):
        batcher.hold()
        job = batcher.submit([FakeRow("a"), FakeRow("b")])
        with pytest.raises(Overloaded):
            batcher.submit([FakeRow("c")])
        for _ in range(3):
            await other.submit([FakeRow("of a queue that is not held")]).results()
        assert (batcher.waiting, batcher.idle, engine.ran) == ((1, 2, 2), False, [])
        batcher.release()
        assert await job.results() == ["a", "b"]


async def test_nobody_joins_a_run_while_the_line_is_held(serving: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with serving(refill=True) as (batcher, engine):
        first = batcher.submit([FakeRow("first", hold=gate)])
        held = await at_work(gate)
        batcher.hold()
        second = batcher.submit([FakeRow("second")])
        held.close()
        assert await first.results() == ["first"]
        assert engine.ran == [["first"]]
        batcher.release()  # from here on it may join the run, if that has not ended yet
        assert await second.results() == ["second"]


async def test_a_lane_that_waits_for_cores_takes_nothing_once_the_line_is_held(serving: Any) -> None:
    cores = CoreBudget(1)
    cores.acquire(1)
    async with serving(cores=cores) as (batcher, engine):
        job = batcher.submit([FakeRow("a")])
        while not cores.queue:  # noqa: ASYNC110  the lane's thread has no event for it
            await asyncio.sleep(0)
        batcher.hold()
        cores.release(1)
        # Whoever asks for the core next gets it once the lane has given it back.
        await asyncio.to_thread(cores.acquire, 1)
        cores.release(1)
        assert (engine.ran, batcher.waiting[1]) == ([], 1)
        batcher.release()
        assert await job.results() == ["a"]


async def test_waiting_requests_can_be_ended_with_a_reason(serving: Any) -> None:
    async with serving() as (batcher, _):
        batcher.hold()
        job = batcher.submit([FakeRow("a"), FakeRow("b")])
        batcher.fail_waiting(Unavailable("No memory."))
        with pytest.raises(Unavailable, match="No memory"):
            await job.results()
        assert batcher.idle
        assert batcher.waiting == (0, 0, 0)


async def test_the_owner_hears_of_work_and_of_its_end(serving: Any) -> None:
    async with serving() as (batcher, _):
        told: list[str] = []
        idle = asyncio.Event()
        batcher.on_work = lambda: told.append("work")
        batcher.on_idle = idle.set
        assert batcher.idle
        job = batcher.submit([FakeRow("a")])
        assert (told, batcher.idle) == (["work"], False)
        await job.results()
        await idle.wait()
        assert batcher.idle


async def test_a_lane_that_still_computes_for_nobody_is_not_idle(serving: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with serving() as (batcher, _):
        idle = asyncio.Event()
        batcher.on_idle = idle.set
        job = batcher.submit([FakeRow("a", hold=gate)])
        held = await at_work(gate)
        job.cancel()
        assert not batcher.idle
        held.close()
        await idle.wait()
        assert batcher.idle


async def test_a_refusal_is_another_one_each_time(serving: Any) -> None:
    async with serving() as (batcher, _):
        batcher.refuse(Unavailable("The server is shutting down."))
        raised = []
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                batcher.submit([FakeRow("x")])
            raised.append(caught.value)
        assert len({id(error) for error in raised}) == 3, "one raised again and again keeps what each of them held"


async def test_the_rows_of_a_failed_request_stop_at_work_too(serving: Any) -> None:
    async with serving(limits=Limits(rows=1, tokens=1000)) as (batcher, engine):
        job = batcher.submit([FakeRow("long", pieces=range(10**9)), FakeRow("waits")])
        while not engine.ran:  # noqa: ASYNC110  the lane's thread has no event for it
            await asyncio.sleep(0)
        batcher.fail_waiting(Unavailable("There is no memory."))
        with pytest.raises(Unavailable):
            await job.results()
        while not batcher.idle:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
