"""The models in memory: loads those that requests need and unloads those without work, within a budget.

The queue of a model that is not loaded is paused: its rows wait. Only models without any work are unloaded, the least
recently used first. All decisions are made on the event loop, so one ends before the next begins. Engines report state
changes from their own threads; the memory manager reads an engine's state only on the event loop.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from server.batching.batcher import Batcher
from server.engines.process.supervisor import ProcessEngine
from server.errors import ModelBusy, Unavailable
from server.machine import resident_bytes

log = logging.getLogger(__name__)

IN_MEMORY = frozenset({"loading", "ready", "restarting", "unloading"})


@dataclass(eq=False, slots=True)
class LoadedModel:
    """One model and its use of memory."""

    id: str
    engine: ProcessEngine
    batcher: Batcher[Any, Any, Any]
    estimate_bytes: int
    """Bytes that the model needs, estimated from its files."""
    measured_bytes: int = 0
    """Bytes that its process held at the last measurement."""
    used_s: float = 0.0
    """The time when it last had work, on the memory's clock."""
    waits_since_s: float = 0.0
    by_hand: bool = False
    """Whether an operator asked to load it, without a request for it."""

    @property
    def needs_bytes(self) -> int:
        """Bytes that it needs in memory."""
        return self.measured_bytes or self.estimate_bytes

    @property
    def holds_bytes(self) -> int:
        """Bytes that it holds now, or will hold once it has loaded."""
        return self.needs_bytes if self.engine.state in IN_MEMORY else 0

    @property
    def can_go(self) -> bool:
        """Whether it can be unloaded without disturbing a request."""
        return self.engine.state == "ready" and self.batcher.idle


class ModelMemory:
    """See the module.

    Args:
        budget_bytes: the limit of all engine processes together; 0: no limit.
        idle_unload_s: a model without work for so long is unloaded; 0: never.
        wait_s: requests wait for memory at most so long.
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
        """Models that wait for memory to be loaded, in the order of asking."""
        self._news: asyncio.Future[None] | None = None
        """A future that ends at the next change of any engine; None if nothing waits for one."""
        self._weighing: set[asyncio.Task[None]] = set()

    def add(self, model: LoadedModel) -> None:
        """Manage a model from now on. Its queue is started, its engine is not."""
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
        """Load a model before the first request for it, if no other model has to be unloaded for it."""
        if self._missing_bytes(model) > 0:
            log.info("%s stays unloaded until a request needs it: memory_mb has no room for it", model.id)
        else:
            model.engine.load(for_request=False)

    def load(self, model: LoadedModel) -> None:
        """Load a model at an operator's request."""
        if model.engine.state in ("unloaded", "failed"):
            model.by_hand = True
            self._want(model)

    def unload(self, model: LoadedModel) -> None:
        """Unload a model at an operator's request.

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
        # An engine that hangs must not delay the end: closing it ends its runs.
        stops = [asyncio.create_task(model.batcher.stop()) for model in models]
        if stops:
            await asyncio.wait(stops, timeout=5.0)
        await asyncio.gather(*(asyncio.to_thread(model.engine.close) for model in models))
        await asyncio.gather(*stops, *self._weighing)

    async def tick(self) -> None:
        """Check the clock: end waits that took too long, unload idle models, measure engines."""
        now_s = self._clock()
        for model in [each for each in self._waiting if now_s - each.waits_since_s >= self._wait_s]:
            self._waiting.remove(model)
            model.by_hand = False
            reason = f"There is no memory for the model '{model.id}' now: the other models are at work."
            model.batcher.fail_waiting(Unavailable(reason, 10.0))
        self._make_room()  # a model behind them may need less
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

    # --- events of engines and queues -----------------------------------------------------------------------

    def _work(self, model: LoadedModel) -> None:
        model.used_s = self._clock()
        if model.engine.state == "unloaded":
            self._want(model)

    def _changed(self, model: LoadedModel) -> None:
        state = model.engine.state
        if state in ("ready", "failed", "closed"):  # a failed engine ends its rows with the reason
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
            self._want(model)  # a request came while it was unloaded
        self._make_room()

    async def _announce(self, model: LoadedModel) -> None:
        await self._weigh(model)
        log.info("%s is loaded: %.0f MB", model.id, model.measured_bytes / 1e6)
        self._make_room()

    async def _weigh(self, model: LoadedModel) -> None:
        """Measure a model's memory, in a thread: the kernel needs a millisecond or more to add it up."""
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
        """Load the models that wait, in the order of asking. If memory is short, unload others first."""
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
        """Bytes to free before it can be loaded. A model always fits alone, since estimates can be wrong."""
        held = sum(each.holds_bytes for each in self._models)
        return held + model.needs_bytes - self._budget_bytes if self._budget_bytes and held else 0

    def _evict(self, missing_bytes: int) -> None:
        """Unload the least recently used models, no more than needed. If all of them are not enough, unload none."""
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
        """Go back under the budget after engines have grown with their work, as long as more than one is loaded."""
        loaded = [each for each in self._models if each.engine.state == "ready"]
        over = sum(each.holds_bytes for each in self._models) - self._budget_bytes
        idle = sorted((each for each in loaded if each.can_go), key=lambda each: each.used_s)
        if over > 0 and idle and len(loaded) > 1:
            self._unload(idle[0])

    def _unload(self, model: LoadedModel) -> None:
        log.info("%s is unloaded", model.id)
        model.batcher.hold()
        model.engine.unload()
