"""Which models are in memory: loads what requests want, unloads what nobody does, within a budget.

A queue whose engine is not there is held: its rows wait. Only models without any work are unloaded, the least recently
used first. Everything here happens on the event loop, so one decision is over before the next begins; engines tell of
their changes from threads of their own, and are asked what they are only once the loop has come to it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from server.batching.batcher import Batcher
from server.engines.process.loadable import LoadableEngine
from server.errors import ModelBusy, Unavailable
from server.machine import resident_bytes

log = logging.getLogger(__name__)

IN_MEMORY = frozenset({"loading", "ready", "restarting", "unloading"})


@dataclass(eq=False, slots=True)
class LoadedModel:
    """One model, as far as memory goes."""

    id: str
    engine: LoadableEngine
    batcher: Batcher[Any, Any, Any]
    estimate_bytes: int
    """What it takes, as far as its files tell."""
    measured_bytes: int = 0
    """What it took when it was last looked at."""
    used_s: float = 0.0
    """When it last had work, on the memory's clock."""
    waits_since_s: float = 0.0
    by_hand: bool = False
    """Somebody asked for it to be loaded, without a request."""

    @property
    def needs_bytes(self) -> int:
        """What it takes in memory."""
        return self.measured_bytes or self.estimate_bytes

    @property
    def holds_bytes(self) -> int:
        """What it takes now, or is about to."""
        return self.needs_bytes if self.engine.state in IN_MEMORY else 0

    @property
    def can_go(self) -> bool:
        """Whether unloading it disturbs nobody."""
        return self.engine.state == "ready" and self.batcher.idle


class ModelMemory:
    """See the module.

    Args:
        budget_bytes: for all engine processes together; 0: no limit.
        idle_unload_s: a model without work for so long is unloaded; 0: never.
        wait_s: so long may requests wait for memory.
        clock: monotonic seconds.
        measure: the memory of a process, in bytes.
    """

    def __init__(
        self,
        budget_bytes: int = 0,
        idle_unload_s: float = 0.0,
        wait_s: float = 30.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        measure: Callable[[int | None], int] = resident_bytes,
    ) -> None:
        self._budget_bytes = budget_bytes
        self._idle_unload_s = idle_unload_s
        self._wait_s = wait_s
        self._clock = clock
        self._measure = measure
        self._models: list[LoadedModel] = []
        self._waiting: list[LoadedModel] = []
        """Who wants to be loaded and has found no memory, in the order of asking."""
        self._news: asyncio.Future[None] | None = None
        """Done at the next change of any engine, where somebody waits for one."""
        self._weighing: set[asyncio.Task[None]] = set()

    def add(self, model: LoadedModel) -> None:
        """Take care of a model from now on; its queue is started, its engine is not."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._changed, model)

        self._models.append(model)
        model.used_s = self._clock()
        model.engine.on_change = changed
        model.batcher.on_work = lambda: self._work(model)
        if self._budget_bytes:
            model.batcher.on_idle = self._make_room
        model.batcher.hold()
        model.batcher.start()

    def begin(self, model: LoadedModel) -> None:
        """Load a model that nobody has asked for yet, if that drives no other one out."""
        if self._missing_bytes(model) > 0:
            log.info("%s stays unloaded until it is asked for: memory_mb has no room for it", model.id)
        else:
            model.engine.load(for_request=False)

    def load(self, model: LoadedModel) -> None:
        """Load a model because somebody says so."""
        if model.engine.state in ("unloaded", "failed"):
            model.by_hand = True
            self._want(model)

    def unload(self, model: LoadedModel) -> None:
        """Unload a model because somebody says so.

        Raises:
            ModelBusy: it has work, or is being loaded.
        """
        if model.can_go:
            self._unload(model)
        elif model.engine.state in ("loading", "ready", "restarting"):
            raise ModelBusy(model.id)

    async def remove(self, model: LoadedModel) -> None:
        """End a model once it has no work left."""
        await model.batcher.drained()
        await model.batcher.stop("The model is not served any longer.")
        await asyncio.to_thread(model.engine.close)
        if model in self._models:
            self._models.remove(model)
        self._make_room()

    async def close(self) -> None:
        """End every queue and every engine."""
        models, self._models, self._waiting = self._models, [], []
        # Engines that hang must not hold up the end: closing one ends the runs on it.
        stops = [asyncio.create_task(model.batcher.stop()) for model in models]
        if stops:
            await asyncio.wait(stops, timeout=5.0)
        await asyncio.gather(*(asyncio.to_thread(model.engine.close) for model in models))
        await asyncio.gather(*stops, *self._weighing)

    async def tick(self) -> None:
        """What time brings: waits that are over, models that nobody uses, engines that have grown."""
        now_s = self._clock()
        for model in [each for each in self._waiting if now_s - each.waits_since_s >= self._wait_s]:
            self._waiting.remove(model)
            model.by_hand = False
            reason = f"There is no memory for the model '{model.id}' now: the others are at work."
            model.batcher.fail_waiting(Unavailable(reason, 10.0))
        self._make_room()  # whoever was behind them may need less
        for model in self._models:
            if not model.batcher.idle:
                model.used_s = now_s
            elif self._idle_unload_s and model.can_go and now_s - model.used_s >= self._idle_unload_s:
                self._unload(model)
        if self._budget_bytes:
            await asyncio.gather(*(self._weigh(each) for each in self._models if each.engine.state == "ready"))
            self._shrink()

    async def settled(self) -> None:
        """Wait until no model is being loaded or restarted."""
        while any(model.engine.state in ("loading", "restarting") for model in self._models):
            self._news = self._news or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)

    # --- what engines and queues tell -----------------------------------------------------------------------

    def _work(self, model: LoadedModel) -> None:
        model.used_s = self._clock()
        if model.engine.state == "unloaded":
            self._want(model)

    def _changed(self, model: LoadedModel) -> None:
        state = model.engine.state
        if state in ("ready", "failed", "closed"):  # those that have failed end their rows with the reason
            model.batcher.release()
        else:
            model.batcher.hold()
        if self._news is not None:
            self._news.set_result(None)
            self._news = None
        if state == "ready":
            model.used_s = self._clock()
            weighing = asyncio.create_task(self._announce(model))
            self._weighing.add(weighing)
            weighing.add_done_callback(self._weighing.discard)
        elif state == "unloaded" and not model.batcher.idle:
            self._want(model)  # a request came while it went
        self._make_room()

    async def _announce(self, model: LoadedModel) -> None:
        await self._weigh(model)
        log.info("%s is loaded: %.0f MB", model.id, model.measured_bytes / 1e6)
        self._make_room()

    async def _weigh(self, model: LoadedModel) -> None:
        """Look at what a model takes: the kernel needs a millisecond or more to add it up."""
        pid = model.engine.pid
        measured_bytes = await asyncio.to_thread(self._measure, pid)
        if pid is not None and model.engine.pid == pid:
            model.measured_bytes = measured_bytes

    # --- decisions -----------------------------------------------------------------------------------------

    def _want(self, model: LoadedModel) -> None:
        if model not in self._waiting:
            model.waits_since_s = self._clock()
            self._waiting.append(model)
        self._make_room()

    def _make_room(self) -> None:
        """Load those that wait, in the order of asking; where memory is short, unload others first."""
        while self._waiting:
            first = self._waiting[0]
            if first.engine.state in ("unloaded", "failed") and (first.by_hand or not first.batcher.idle):
                if (missing := self._missing_bytes(first)) > 0:
                    self._evict(missing)
                    return
                first.by_hand = False
                first.engine.load(for_request=True)
            self._waiting.pop(0)

    def _missing_bytes(self, model: LoadedModel) -> int:
        """What has to be given back before it can be loaded. A model always fits alone: estimates can be wrong."""
        held = sum(each.holds_bytes for each in self._models)
        return held + model.needs_bytes - self._budget_bytes if self._budget_bytes and held else 0

    def _evict(self, missing_bytes: int) -> None:
        """Unload the least recently used, no more than it takes, and none where that would not be enough."""
        freed = sum(each.holds_bytes for each in self._models if each.engine.state == "unloading")
        going = []
        for model in sorted((each for each in self._models if each.can_go), key=lambda each: each.used_s):
            if freed >= missing_bytes:
                break
            going.append(model)
            freed += model.holds_bytes
        if freed >= missing_bytes:
            for model in going:
                self._unload(model)

    def _shrink(self) -> None:
        """Engines grow with their work: back under the budget, as long as more than one is loaded."""
        loaded = [each for each in self._models if each.engine.state == "ready"]
        over = sum(each.holds_bytes for each in self._models) - self._budget_bytes
        idle = sorted((each for each in loaded if each.can_go), key=lambda each: each.used_s)
        if over > 0 and idle and len(loaded) > 1:
            self._unload(idle[0])

    def _unload(self, model: LoadedModel) -> None:
        log.info("%s is unloaded", model.id)
        model.batcher.hold()
        model.engine.unload()
