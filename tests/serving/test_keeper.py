"""Models in memory: the server loads them, unloads idle ones for others, and lets requests wait."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from server.engines.fake import FakeRow
from server.errors import ModelBusy, Unavailable
from tests.serving.conftest import SIZE, Make

pytestmark = pytest.mark.anyio


async def opened(gate: Path) -> None:
    await asyncio.to_thread(gate.write_bytes, b"")


async def test_a_request_loads_its_model_and_two_load_it_once(keeping: Make) -> None:
    async with keeping() as kept:
        jobs = [kept.ask("a"), kept.ask("a")]
        assert kept.states == "loading unloaded unloaded"
        assert kept.residents["a"].engine.reason == ""
        assert [await job.results() for job in jobs] == [["a"], ["a"]]
        assert kept.loads["a"].count == 1


async def test_loading_at_the_start_is_a_reason_and_loading_for_a_request_is_none(keeping: Make) -> None:
    async with keeping() as kept:
        kept.memory.begin(kept.residents["a"])
        assert kept.residents["a"].engine.reason == "The model is loading."
        await kept.until("ready", "unloaded", "unloaded")
        assert kept.residents["a"].engine.reason == ""


async def test_a_model_that_nobody_used_for_so_long_gives_its_memory_back(keeping: Make) -> None:
    async with keeping(idle_unload_s=10.0) as kept:
        await kept.answer("a")
        pid = kept.residents["a"].engine.pid
        kept.now_s += 9
        await kept.memory.tick()
        assert kept.state("a") == "ready"
        kept.now_s += 1
        await kept.memory.tick()
        await kept.until("unloaded", "unloaded", "unloaded")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await kept.answer("a")
        assert kept.loads["a"].count == 2


async def test_a_model_with_work_is_never_idle(keeping: Make, gate: Path) -> None:
    async with keeping(idle_unload_s=10.0) as kept:
        job = kept.ask("a", FakeRow("long", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        kept.now_s += 100
        await kept.memory.tick()
        assert kept.state("a") == "ready"
        await opened(gate)
        assert await job.results() == ["long"]
        while not kept.residents["a"].batcher.idle:  # noqa: ASYNC110  the lane's thread has no event for it
            await asyncio.sleep(0.001)
        kept.now_s += 9
        await kept.memory.tick()
        assert kept.state("a") == "ready", "it was at work until the tick before"


async def test_a_request_that_comes_while_its_model_unloads_is_served(keeping: Make) -> None:
    async with keeping() as kept:
        await kept.answer("a")
        kept.memory.unload(kept.residents["a"])
        assert kept.state("a") == "unloading"
        assert await kept.ask("a").results() == ["a"]
        assert kept.loads["a"].count == 2


async def test_the_least_recently_used_gives_way(keeping: Make) -> None:
    async with keeping(budget_bytes=2 * SIZE) as kept:
        await kept.answer("a")
        await kept.answer("b")
        await kept.answer("a")
        await kept.answer("c")
        assert kept.states == "ready unloaded ready"


async def test_a_model_with_work_does_not_give_way_and_the_request_waits_until_it_is_done(
    keeping: Make, gate: Path
) -> None:
    async with keeping(budget_bytes=SIZE) as kept:
        busy = kept.ask("a", FakeRow("busy", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        waiting = kept.ask("b")
        await kept.memory.tick()
        assert kept.states == "ready unloaded unloaded"
        await opened(gate)
        assert await busy.results() == ["busy"]
        assert await waiting.results() == ["b"]
        await kept.until("unloaded", "ready", "unloaded")


async def test_waiting_for_memory_ends_with_a_503(keeping: Make, gate: Path) -> None:
    async with keeping(budget_bytes=SIZE, wait_s=30.0) as kept:
        busy = kept.ask("a", FakeRow("busy", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        waiting = kept.ask("b")
        kept.now_s += 29
        await kept.memory.tick()
        assert not waiting.over
        kept.now_s += 1
        await kept.memory.tick()
        with pytest.raises(Unavailable, match="no memory for the model 'b'") as refused:
            await waiting.results()
        assert refused.value.retry_after_s
        await opened(gate)
        assert await busy.results() == ["busy"]


async def test_who_waits_behind_one_that_has_given_up_is_loaded(keeping: Make, gate: Path) -> None:
    async with keeping(budget_bytes=2 * SIZE, wait_s=30.0) as kept:
        busy = kept.ask("a", FakeRow("busy", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        kept.residents["b"].estimate_bytes = 2 * SIZE
        large = kept.ask("b")
        kept.now_s += 10
        small = kept.ask("c")
        assert kept.states == "ready unloaded unloaded"
        kept.now_s += 20
        await kept.memory.tick()
        with pytest.raises(Unavailable, match="no memory"):
            await large.results()
        assert await small.results() == ["c"]
        await opened(gate)
        assert await busy.results() == ["busy"]


async def test_a_load_by_hand_that_found_no_memory_is_forgotten(keeping: Make, gate: Path) -> None:
    async with keeping(budget_bytes=SIZE, wait_s=30.0) as kept:
        busy = kept.ask("a", FakeRow("busy", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        kept.memory.load(kept.residents["b"])
        kept.now_s += 30
        await kept.memory.tick()
        kept.ask("b").cancel()
        await opened(gate)
        assert await busy.results() == ["busy"]
        await kept.answer("a")
        assert (kept.states, kept.loads["b"].count) == ("ready unloaded unloaded", 0)


async def test_none_is_unloaded_where_that_would_not_be_enough(keeping: Make, gate: Path) -> None:
    async with keeping(budget_bytes=2 * SIZE) as kept:
        busy = kept.ask("a", FakeRow("busy", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        await kept.answer("b")
        kept.residents["c"].estimate_bytes = 2 * SIZE
        waiting = kept.ask("c")
        assert kept.states == "ready ready unloaded"
        await opened(gate)
        assert [await busy.results(), await waiting.results()] == [["busy"], ["c"]]
        assert kept.states == "unloaded unloaded ready"


async def test_at_the_start_nothing_is_driven_out(keeping: Make) -> None:
    async with keeping(budget_bytes=2 * SIZE) as kept:
        for model in kept.residents.values():
            kept.memory.begin(model)
        await kept.until("ready", "ready", "unloaded")


async def test_an_abandoned_wait_loads_nothing(keeping: Make, gate: Path) -> None:
    async with keeping(budget_bytes=SIZE) as kept:
        busy = kept.ask("a", FakeRow("busy", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        kept.ask("b").cancel()
        await opened(gate)
        assert await busy.results() == ["busy"]
        await kept.answer("a")
        assert (kept.states, kept.loads["b"].count) == ("ready unloaded unloaded", 0)


async def test_engines_that_have_grown_over_the_budget_are_unloaded_again(keeping: Make) -> None:
    async with keeping(budget_bytes=3 * SIZE) as kept:
        await kept.answer("a")
        await kept.answer("b")
        kept.size = 2 * SIZE
        await kept.memory.tick()
        await kept.until("unloaded", "ready", "unloaded")
        kept.size = 9 * SIZE
        await kept.memory.tick()
        assert kept.state("b") == "ready", "the last one stays"


@pytest.mark.parametrize("options", [{"fatal": True}, {"broken": "no weights"}])
async def test_a_model_that_dies_while_it_loads_ends_its_requests_with_the_reason(
    keeping: Make, options: dict[str, Any]
) -> None:
    async with keeping(options) as kept:
        jobs = [kept.ask("a"), kept.ask("a")]
        for job in jobs:
            with pytest.raises(Unavailable, match="does not start"):
                await job.results()
        assert kept.state("a") == "failed"


async def test_closing_while_a_model_loads_ends_its_requests_and_leaves_nothing(keeping: Make) -> None:
    async with keeping() as kept:
        job = kept.ask("a")
        await kept.memory.close()
        with pytest.raises(Unavailable):
            await job.results()
        assert (kept.state("a"), kept.residents["a"].engine.pid) == ("closed", None)


async def test_draining_waits_for_requests_whose_model_still_loads(keeping: Make) -> None:
    async with keeping() as kept:
        job = kept.ask("a")
        batcher = kept.residents["a"].batcher
        batcher.refuse(Unavailable("The server is shutting down."))
        await batcher.drained()
        assert await job.results() == ["a"]


async def test_a_model_that_is_removed_finishes_its_work_first(keeping: Make, gate: Path) -> None:
    async with keeping() as kept:
        job = kept.ask("a", FakeRow("last", hold=gate))
        await kept.until("ready", "unloaded", "unloaded")
        removing = asyncio.create_task(kept.memory.remove(kept.residents["a"]))
        await opened(gate)
        assert await job.results() == ["last"]
        await removing
        assert (kept.state("a"), kept.residents["a"].engine.pid) == ("closed", None)


async def test_by_hand_a_model_is_loaded_and_unloaded_but_not_from_under_its_work(keeping: Make, gate: Path) -> None:
    async with keeping() as kept:
        kept.memory.load(kept.residents["a"])
        await kept.until("ready", "unloaded", "unloaded")
        job = kept.ask("a", FakeRow("a", hold=gate))
        with pytest.raises(ModelBusy, match="has work"):
            kept.memory.unload(kept.residents["a"])
        await opened(gate)
        await job.results()
        while not kept.residents["a"].batcher.idle:  # noqa: ASYNC110  the lane's thread has no event for it
            await asyncio.sleep(0.001)
        kept.memory.unload(kept.residents["a"])
        await kept.until("unloaded", "unloaded", "unloaded")
        kept.memory.unload(kept.residents["a"])


async def test_a_model_that_is_taken_for_too_large_is_loaded_where_it_would_be_alone(keeping: Make) -> None:
    async with keeping(budget_bytes=SIZE) as kept:
        kept.residents["a"].estimate_bytes = 2 * SIZE
        await kept.answer("a")


async def test_waiting_for_models_takes_no_thread(keeping: Make) -> None:
    async with keeping() as kept:
        for name in "abc":
            kept.memory.begin(kept.residents[name])
        before = threading.active_count()
        waiting = [asyncio.create_task(kept.memory.settled()) for _ in range(20)]
        await asyncio.sleep(0)
        assert threading.active_count() == before
        await asyncio.gather(*waiting)
        assert kept.states == "ready ready ready"


async def test_memory_is_weighed_off_the_event_loop(keeping: Make) -> None:
    weighed: list[int] = []

    def measure(pid: int | None) -> int:
        weighed.append(threading.get_ident())
        return SIZE

    async with keeping(budget_bytes=3 * SIZE, measure=measure) as kept:
        await kept.answer("a")
        await kept.memory.tick()
        await kept.memory.tick()
    assert len(weighed) >= 2
    assert threading.get_ident() not in weighed
