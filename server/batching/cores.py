"""The core budget of the machine: which batches may compute now, and in which order.

Engines of several models share the cores. A batch asks for the cores it computes with and gets them in
the order of asking, so the oldest batch goes next and a wide one is not overtaken for ever by narrow
ones. Long runs give way between their steps (``Grant.give_way``): a sentiment request waits for one
decode step of a chat, not for the whole chat.
"""

import os
import threading
from collections import deque
from pathlib import Path
from types import TracebackType


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The number of cores that this process may really use: the least of affinity and cgroup quota, at least 1.

    ``os.cpu_count()`` knows neither, so with it every container would be oversubscribed. Reads cgroup v2's
    ``cpu.max`` and v1's ``cpu.cfs_quota_us``; a quota of 1.5 cores counts as 1.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(affinity, int(_quota_cores(cgroup) or affinity)))


def _quota_cores(cgroup: Path) -> float | None:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return max(1.0, int(quota) / int(period))


class CoreBudget:
    """A counting semaphore whose waiters are served strictly in order of arrival."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._free = cores
        self._lock = threading.Lock()
        self.queue: deque[tuple[int, threading.Event]] = deque()
        """Batches that wait, oldest first: the number of cores that each wants, and the event that it waits for."""

    def grant(self, cores: int) -> "Grant":
        """A context in which ``cores`` cores are held; a number above the machine's counts as all of its cores."""
        return Grant(self, min(cores, self.cores))

    @property
    def contended(self) -> bool:
        """Whether a batch waits for cores."""
        return bool(self.queue)

    def acquire(self, cores: int) -> None:
        """Wait in the queue for the cores."""
        with self._lock:
            if not self.queue and self._free >= cores:
                self._free -= cores
                return
            turn = threading.Event()
            self.queue.append((cores, turn))
        turn.wait()

    def release(self, cores: int) -> None:
        """Give cores back, and wake the batches whose turn it is."""
        with self._lock:
            self._free += cores
            while self.queue and self._free >= self.queue[0][0]:
                wanted, turn = self.queue.popleft()
                self._free -= wanted
                turn.set()


class Grant:
    """Cores held by one batch for as long as the ``with`` block lasts."""

    def __init__(self, budget: CoreBudget, cores: int) -> None:
        self._budget = budget
        self._cores = cores

    def __enter__(self) -> "Grant":
        self._budget.acquire(self._cores)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._budget.release(self._cores)

    @property
    def contended(self) -> bool:
        """Whether another batch waits for cores; cheap enough to ask at every step."""
        return self._budget.contended

    def give_way(self) -> None:
        """Let waiting batches go first, then take the cores again."""
        self._budget.release(self._cores)
        self._budget.acquire(self._cores)
