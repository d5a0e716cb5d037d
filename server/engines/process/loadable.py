"""An engine that can be loaded and unloaded: loading starts a fresh process, unloading frees all its memory.

Its owner decides when, and makes sure that no run is under way when it unloads.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from server.engines.base import Outbox, State
from server.engines.kinds import KINDS, EngineSpec
from server.engines.process.supervisor import ProcessEngine, Watcher
from server.errors import Unavailable

log = logging.getLogger(__name__)


class LoadableEngine:
    """One engine, loaded or not. One owner calls ``load``, ``unload`` and ``close``, never two of them at once.

    Args:
        spec: the engine to build in the process.
        watcher: learns of loads and restarts.
    """

    def __init__(self, spec: EngineSpec, watcher: Watcher | None = None) -> None:
        self.spec = spec
        self.honours = KINDS[spec.kind].honours
        self.on_change: Callable[[], None] = lambda: None
        """Called when ``state`` has changed, on the thread that changed it; must not block."""
        self._watcher = watcher
        self._process: ProcessEngine | None = None
        self._end: threading.Thread | None = None
        self._for_request = False
        self._closed = False

    @property
    def state(self) -> State:
        """What it does now."""
        if self._closed:
            return "closed"
        if self._end is not None:
            return "unloading"
        process = self._process
        return "unloaded" if process is None else process.state

    @property
    def reason(self) -> str:
        """Why it cannot run though it should; empty while it can, or would at the next request."""
        if self._closed:
            return "The model is not served any longer."
        process = self._process
        if process is None or self._end is not None or (process.state == "loading" and self._for_request):
            return ""
        return process.reason

    @property
    def pid(self) -> int | None:
        """The process's id while one is loaded."""
        process = self._process
        return None if process is None else process.pid

    @property
    def cache_usage(self) -> float:
        """The share of its cache's blocks that running rows hold, 0 to 1."""
        process = self._process
        return 0.0 if process is None else process.cache_usage

    @property
    def cache_blocks(self) -> tuple[int, int] | None:
        """Positions a block of its cache, and how many blocks; None while no engine with such a cache is loaded."""
        process = self._process
        return None if process is None else process.cache_blocks

    def load(self, *, for_request: bool) -> None:
        """Start loading; returns at once. It must be unloaded or failed.

        Args:
            for_request: whether a request needs it; loading is then no reason for ``/ready`` to report.
        """
        if self._process is not None:
            self._process.close()  # the engine has failed: only its supervisor is left to end
        self._for_request = for_request
        self._process = ProcessEngine(self.spec, self._watcher, on_change=lambda: self.on_change())
        self._process.start()
        self.on_change()

    def unload(self) -> None:
        """Begin to end the process, and return at once. ``on_change`` is called when it has ended."""
        process = self._process
        if process is None or self._end is not None:
            return

        def end() -> None:
            process.close()
            self._process = self._end = None
            self.on_change()

        self._end = threading.Thread(target=end, name=f"unload-{self.spec.name}", daemon=True)
        self._end.start()
        self.on_change()

    def close(self) -> None:
        """End the process for good; runs under way fail."""
        self._closed = True
        if (end := self._end) is not None:
            end.join()
        if self._process is not None:
            self._process.close()
        self.on_change()

    def run(self, rows: Sequence[Any], out: Outbox[Any, Any, Any]) -> None:
        """Run rows as ``Engine.run`` does.

        Raises:
            Unavailable: no process is loaded or loading.
        """
        process = self._process
        if process is None:
            raise Unavailable(self.reason or "The model is unloaded.")
        process.run(rows, out)
