import asyncio
import gc
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from server.batching.cores import CoreBudget
from server.batching.job import Outcome, Piece
from server.batching.policy import Limits
from server.engines.base import background
from server.engines.fake import FakeEngine, FakeRow
from server.engines.kinds import EngineSpec
from server.errors import EngineFailed, Overloaded, TooLarge, Unavailable

ENDLESS = range(10**9)
pytestmark = pytest.mark.anyio


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A named pipe: a row that holds on it waits until ``open_gate``."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


async def open_gate(gate: Path) -> None:
    await asyncio.to_thread(gate.write_bytes, b"")


async def until(condition: Any) -> None:
    """Wait for what another thread is about to do."""
    while not condition():  # noqa: ASYNC110  there is no event: the condition becomes true on a thread of the library
        await asyncio.sleep(0)


async def test_results_come_in_the_order_of_the_rows(serving: Any) -> None:
    async with serving() as (batcher, _):
        rows = [FakeRow(str(i), pieces=("x",) * (5 - i)) for i in range(5)]
        assert await batcher.submit(rows).results() == ["0", "1", "2", "3", "4"]


async def test_pieces_come_before_the_outcome(serving: Any) -> None:
    async with serving() as (batcher, _):
        events = [e async for e in batcher.submit([FakeRow("r", pieces=("a", "b"))]).events()]
        assert events == [Piece(0, "a"), Piece(0, "b"), Outcome(0, "r")]


async def test_a_row_that_is_done_does_not_wait_for_its_neighbours(serving: Any, gate: Path) -> None:
    async with serving(limits=Limits(rows=2, tokens=1000)) as (batcher, engine):
        plug = batcher.submit([FakeRow("plug", hold=gate)])
        await until(lambda: engine.ran)
        short, long = batcher.submit([FakeRow("short")]), batcher.submit([FakeRow("long", pieces=ENDLESS)])
        await open_gate(gate)
        await plug.results()
        await short.results()
        assert not long.over
        assert engine.ran[1] == ["short", "long"]
        long.cancel()


async def test_batches_form_while_the_engine_is_busy(serving: Any, gate: Path) -> None:
    async with serving() as (batcher, engine):
        jobs = [batcher.submit([FakeRow("plug", hold=gate)])]
        await until(lambda: engine.ran)
        jobs += [batcher.submit([FakeRow(str(i))]) for i in range(5)]
        await open_gate(gate)
        for job in jobs:
            await job.results()
        assert engine.ran == [["plug"], ["0", "1", "2", "3", "4"]]
        assert jobs[1].timing.batch_rows == 5


async def test_a_list_is_shared_by_the_lanes_that_are_free(serving: Any, tmp_path: Path) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]
    for gate in gates:
        os.mkfifo(gate)
    async with serving(lanes=2) as (batcher, engine):
        holds = {0: gates[0], 4: gates[1]}
        job = batcher.submit([FakeRow(str(i), hold=holds.get(i)) for i in range(8)])
        await until(lambda: len(engine.ran) == 2)
        assert engine.ran == [["0", "1", "2", "3"], ["4", "5", "6", "7"]]
        # Both lanes are at work, so the next batch is of the one that is free first.
        later = batcher.submit([FakeRow(name) for name in "abcd"])
        await open_gate(gates[0])
        assert await later.results() == list("abcd")
        assert engine.ran[2:] == [list("abcd")]
        await open_gate(gates[1])
        assert await job.results() == [str(i) for i in range(8)]


async def test_a_text_of_another_key_does_not_wait_for_a_long_list(serving: Any, gate: Path) -> None:
    async with serving(limits=Limits(rows=4, tokens=1000)) as (batcher, engine):
        plug = batcher.submit([FakeRow("plug", hold=gate)])
        await until(lambda: engine.ran)
        long = batcher.submit([FakeRow(str(i)) for i in range(12)])
        single = batcher.submit([FakeRow("single", key="other")])
        await open_gate(gate)
        await asyncio.gather(plug.results(), long.results(), single.results())
        assert engine.ran[2] == ["single"]


async def test_an_exception_fails_its_batch_and_not_the_line(serving: Any) -> None:
    async with serving() as (batcher, _):
        with pytest.raises(EngineFailed):
            await batcher.submit([FakeRow("bad", fate="raise")]).results()
        assert await batcher.submit([FakeRow("good")]).results() == ["good"]


async def test_a_forgotten_row_fails_alone(serving: Any, gate: Path) -> None:
    async with serving() as (batcher, engine):
        plug = batcher.submit([FakeRow("plug", hold=gate)])
        await until(lambda: engine.ran)
        forgotten, good = batcher.submit([FakeRow("f", fate="forget")]), batcher.submit([FakeRow("good")])
        await open_gate(gate)
        assert await good.results() == ["good"]
        assert engine.ran[1] == ["f", "good"]
        with pytest.raises(EngineFailed):
            await forgotten.results()
        await plug.results()


async def test_an_abandoned_row_never_reaches_the_engine(serving: Any, gate: Path) -> None:
    async with serving() as (batcher, engine):
        plug = batcher.submit([FakeRow("plug", hold=gate)])
        await until(lambda: engine.ran)
        gone, stays = batcher.submit([FakeRow("gone")]), batcher.submit([FakeRow("stays")])
        gone.cancel()
        assert batcher.waiting == (1, 1, 1)
        await open_gate(gate)
        await stays.results()
        await plug.results()
        assert engine.ran == [["plug"], ["stays"]]


async def test_a_running_row_that_is_cancelled_stops(serving: Any) -> None:
    async with serving() as (batcher, _):
        endless = batcher.submit([FakeRow("endless", pieces=ENDLESS)])
        async for _event in endless.events():
            endless.cancel()
        assert await batcher.submit([FakeRow("next")]).results() == ["next"]
        await batcher.drained()


async def test_a_dropped_row_leaves_its_job_mates_alone(serving: Any) -> None:
    async with serving() as (batcher, _):
        job = batcher.submit([FakeRow("a", pieces=ENDLESS), FakeRow("b", pieces=("y",) * 3)])
        seen = []
        async for event in job.events():
            seen.append(event)
            job.drop(0)
        assert seen[-1] == Outcome(1, "b")
        assert sum(event.index == 0 for event in seen) <= 1


async def test_the_first_error_cancels_the_rest_of_its_request(serving: Any, gate: Path) -> None:
    async with serving(limits=Limits(rows=1, tokens=10)) as (batcher, engine):
        job = batcher.submit([FakeRow("bad", fate="raise"), FakeRow("next", hold=gate), FakeRow("last")])
        with pytest.raises(EngineFailed):
            await job.results()
        assert batcher.waiting[1] <= 1
        if len(engine.ran) > 1:
            await open_gate(gate)
        await batcher.drained()
        assert ["last"] not in engine.ran


async def test_a_second_outcome_and_late_pieces_say_nothing(serving: Any) -> None:
    class Talkative(FakeEngine):
        def run(self, rows: Any, out: Any) -> None:
            for i, row in enumerate(rows):
                out.piece(i, "piece")
                out.done(i, row.name)
                out.piece(i, "late")
                out.done(i, "again")
            out.done(99, "nobody")
            out.step()

    async with serving(engine=Talkative(EngineSpec("fake"))) as (batcher, _):
        events = [e async for e in batcher.submit([FakeRow("a")]).events()]
        assert events == [Piece(0, "piece"), Outcome(0, "a")]


async def test_batches_of_two_models_share_the_cores(serving: Any, gate: Path) -> None:
    cores = CoreBudget(1)
    async with serving(cores=cores) as (first, _), serving(cores=cores) as (second, engine):
        holds = first.submit([FakeRow("holds", hold=gate)])
        await until(lambda: first.running)
        waits = second.submit([FakeRow("waits")])
        await until(lambda: cores.contended)
        assert engine.ran == []
        await open_gate(gate)
        await holds.results()
        assert await waits.results() == ["waits"]


async def test_admission_is_all_or_none(serving: Any, gate: Path) -> None:
    async with serving(waiting_rows=4, waiting_tokens=100) as (batcher, engine):
        plug = batcher.submit([FakeRow("plug", hold=gate)])
        await until(lambda: engine.ran)
        queued = batcher.submit([FakeRow("a")] * 3)
        with pytest.raises(Overloaded) as full:
            batcher.submit([FakeRow("b")] * 2)
        assert full.value.retry_after_s is not None
        with pytest.raises(Overloaded):
            batcher.submit([FakeRow("heavy", tokens=98)])
        assert batcher.waiting == (1, 3, 3)
        with pytest.raises(TooLarge):
            batcher.submit([FakeRow("c")] * 5)
        await open_gate(gate)
        await queued.results()
        await plug.results()


async def test_rows_join_a_running_batch_where_the_engine_can(serving: Any, gate: Path) -> None:
    async with serving(refill=True, capacity=4) as (batcher, engine):
        first = batcher.submit([FakeRow("first", pieces=("x",) * 3, hold=gate)])
        await until(lambda: engine.ran)
        second = batcher.submit([FakeRow("second", pieces=("y",))])
        await open_gate(gate)
        assert await second.results() == ["second"]
        await first.results()
        assert engine.ran == [["first", "+second"]]


async def test_a_row_that_ended_is_forgotten_while_its_run_goes_on(serving: Any) -> None:
    """Under load a run that rows join never ends: what it kept would grow without end."""
    async with serving(refill=True) as (batcher, engine):
        endless = batcher.submit([FakeRow("endless", pieces=ENDLESS)])
        await until(lambda: engine.ran)
        short = batcher.submit([FakeRow("short")])
        assert await short.results() == ["short"]
        forgotten = weakref.ref(short)
        del short
        await until(lambda: gc.collect() is not None and forgotten() is None)
        assert not endless.over
        endless.cancel()


async def test_no_row_is_lost_or_run_twice_under_load(serving: Any) -> None:
    async with serving(lanes=2, refill=True, capacity=3) as (batcher, engine):

        async def client(n: int) -> None:
            for i in range(20):
                rows = [FakeRow(f"{n}.{i}.{k}", pieces=("x",) * (k % 3), key=n % 2) for k in range(1 + n % 4)]
                job = batcher.submit(rows)
                if i % 5 == 4:
                    job.cancel()
                else:
                    assert await job.results() == [row.name for row in rows]

        await asyncio.gather(*(client(n) for n in range(16)))
        names = [name.lstrip("+") for run in engine.ran for name in run]
        assert len(names) == len(set(names))
        await batcher.drained()
        assert batcher.waiting == (0, 0, 0)
        assert batcher.running == 0


async def test_stopping_ends_every_job(serving: Any, gate: Path) -> None:
    async with serving() as (batcher, engine):
        endless = batcher.submit([FakeRow("endless", pieces=ENDLESS)])
        await until(lambda: engine.ran)
        queued = batcher.submit([FakeRow("queued")])
        await batcher.stop()
        for job in (endless, queued):
            with pytest.raises(Unavailable):
                await job.results()
        with pytest.raises(Unavailable):
            batcher.submit([FakeRow("late")])
    assert not any("lane" in thread.name for thread in threading.enumerate())


async def test_a_long_run_gives_way_to_a_short_one(serving: Any) -> None:
    """With one core, another engine's batch is done while a long generation goes on."""
    cores = CoreBudget(1)
    async with serving(cores=cores) as (long, _), serving(cores=cores) as (short, _):
        endless = long.submit([FakeRow("endless", pieces=ENDLESS)])
        async for _event in endless.events():
            break
        assert await short.submit([FakeRow("short")]).results() == ["short"]
        assert not endless.over
        endless.cancel()


async def test_a_refused_line_opens_again(serving: Any) -> None:
    async with serving() as (batcher, _):
        batcher.refuse(Unavailable("loading."))
        with pytest.raises(Unavailable):
            batcher.submit([FakeRow("a")])
        batcher.refuse(None)
        assert await batcher.submit([FakeRow("a")]).results() == ["a"]


async def test_background_work_fills_half_of_the_queue_at_most(serving: Any) -> None:
    async with serving(waiting_rows=8) as (batcher, _):
        batcher.hold()
        token = background.set(True)
        try:
            jobs = [batcher.submit([FakeRow("a")] * 3)]
            with pytest.raises(Overloaded):
                batcher.submit([FakeRow("b")] * 2)
        finally:
            background.reset(token)
        jobs.append(batcher.submit([FakeRow("c")] * 5))
        batcher.release()
        assert [len(await job.results()) for job in jobs] == [3, 5]
