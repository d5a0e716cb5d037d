"""An engine in a supervised process of its own, behind the same contract. It can be loaded and unloaded.

A bad id, a damaged file or the memory killer can end a process that runs CTranslate2, and nothing in Python can catch
that. So each model has a process of its own. When it dies, rows that had no piece yet run once more on a fresh process,
rows already begun fail, and other models go on. Unloading a model ends its process and frees all its memory. An engine
that cannot even start, ``STARTS`` times in a row, is marked failed; one whose files are not what they should be, at
once.
"""

import contextlib
import itertools
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Protocol

from server.engines.base import Outbox, State
from server.engines.kinds import KINDS, EngineSpec
from server.engines.process import wire
from server.engines.process.handle import EngineProcess, Problem, begin, exit_reason, hang_up, load
from server.errors import LOG_SAYS_MORE, EngineFailed, Unavailable

log = logging.getLogger(__name__)

STARTS = 3
"""The engine is marked failed after so many failed starts in a row."""


class Watcher(Protocol):
    """Learns when an engine's process has loaded or was replaced; called on the supervisor's thread."""

    def loaded(self, seconds: float) -> None:
        """A process has loaded its model."""

    def restarted(self) -> None:
        """A process died and a fresh one has taken its place."""


@dataclass(slots=True)
class _Trip:
    """The rows of one run, as the outbox counts them, and the numbers they have on the pipe."""

    waiting: dict[int, Any]
    """Rows without an outcome."""
    known: int
    """The number of rows that the run has had."""
    begun: set[int] = field(default_factory=set)
    """Rows with a piece: they cannot run again."""
    rows: dict[int, int] = field(default_factory=dict)
    """From numbers on the pipe to rows. No number is used twice, so late frames of earlier runs are ignored."""

    def number(self, numbers: Iterator[int], rows: dict[int, Any]) -> list[tuple[int, Any]]:
        named = [(next(numbers), row) for row in rows]
        self.rows.update(named)
        return [(number, rows[row]) for number, row in named]

    def end(self, number: int, row: int) -> None:
        """Forget a row: a run that rows keep joining never ends, and must not grow."""
        self.waiting.pop(row, None)
        self.begun.discard(row)
        del self.rows[number]


class ProcessEngine:
    """The parent's side: starts, watches and restarts the process, and carries runs to it.

    One owner calls ``load``, ``unload`` and ``close``, never two of them at once, and makes sure that no run is under
    way when it unloads.

    Args:
        spec: the engine to build in the process.
        watcher: learns of loads and restarts.
        stall_s: the process is killed when a run has sent no frame for so long.
        backoff_s: the wait before the nth start in a row, n from 1.
        start_limit_s: a process that has not loaded its model by then is killed.
    """

    def __init__(
        self,
        spec: EngineSpec,
        watcher: Watcher | None = None,
        *,
        stall_s: float = 120.0,
        start_limit_s: float = 300.0,
        backoff_s: Callable[[int], float] = lambda n: min(10.0, 0.1 * 4 ** (n - 1)),
    ) -> None:
        self.spec = spec
        self.honours = KINDS[spec.kind].honours
        self.state: State = "unloaded"
        """The state of the engine now."""
        self.reason = ""
        """Why it cannot run though it should; empty while it can, or would at the next request."""
        self.cache_usage = 0.0
        """The share of its cache's blocks that rows held at the last step, 0 to 1."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when ``state`` has changed, on the thread that changed it; must not block."""
        self._watcher = watcher
        self._stall_s = stall_s
        self._start_limit_s = start_limit_s
        self._backoff_s = backoff_s
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._child: EngineProcess | None = None
        self._numbers = itertools.count()
        self._supervisor: threading.Thread | None = None
        self._end: threading.Thread | None = None

    def load(self, *, for_request: bool = False) -> None:
        """Start loading, and return at once. It must be unloaded or failed. ``wait_ready`` waits for the end.

        Args:
            for_request: whether a request needs it; loading is then no reason for ``/ready`` to report.
        """
        name = self.spec.name
        with self._changed:
            self._closing = threading.Event()
            self._supervisor = threading.Thread(target=self._supervise, name=f"supervise-{name}", daemon=True)
            self._set("loading", "" if for_request else "The model is loading.")
        self._supervisor.start()

    def wait_ready(self) -> bool:
        """Wait until the engine is ready, failed or closed; True when it is ready."""
        with self._changed:
            self._changed.wait_for(lambda: self.state in ("ready", "failed", "closed"))
            return self.state == "ready"

    @property
    def pid(self) -> int | None:
        """The process's id while one is loaded."""
        child = self._child
        return child.process.pid if child is not None and not child.dead else None

    @property
    def cache_blocks(self) -> tuple[int, int] | None:
        """Positions a block of its cache, and how many blocks; None while no such engine is loaded."""
        child = self._child
        return child.cache_blocks if child is not None and not child.dead else None

    def unload(self) -> None:
        """Begin to end the process, and return at once. ``on_change`` is called when it has ended."""
        if self.state in ("unloaded", "unloading", "closed"):
            return
        is_idle = self._leave("unloading", "")

        def end() -> None:
            self._end_process(is_idle)
            with self._changed:
                self._end = None
                self._set("unloaded", "")

        self._end = threading.Thread(target=end, name=f"unload-{self.spec.name}", daemon=True)
        self._end.start()

    def close(self) -> None:
        """End the process for good, in good order if it is idle. Running work and loading fail."""
        is_idle = self._leave("closed", "The model is not served any longer.")
        if (end := self._end) is not None:
            end.join()
        self._end_process(is_idle)

    def _leave(self, state: State, reason: str) -> bool:
        """Take no more rows. Returns whether the process can end in good order."""
        with self._changed:
            self._closing.set()
            is_idle = self.state == "ready"
            self._set(state, reason)
        return is_idle

    def _end_process(self, is_idle: bool) -> None:
        with self._changed:
            child = self._child
        if child is not None:
            if not is_idle:
                child.process.kill()
            with contextlib.suppress(OSError):
                child.control.send("close")
            for pipe in child.all:
                hang_up(pipe)
            try:
                child.process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                child.process.kill()
        if self._supervisor is not None:
            self._supervisor.join()

    # --- a run -------------------------------------------------------------------------------------------

    def run(self, rows: Sequence[Any], out: Outbox[Any, Any, Any]) -> None:
        """Carry a batch to the process; if it dies, carry the rest once more to the next one.

        Raises:
            Unavailable: no process is loaded or loading.
        """
        trip = _Trip(dict(enumerate(rows)), len(rows))
        for _ in range(2):
            child, pipe = self._take_lane()
            try:
                wire.send(pipe, ("rows", trip.number(self._numbers, trip.waiting)))
                while trip.waiting:
                    self._take_frame(trip, pipe, out)
            except BlockingIOError:
                log.error("no sign of an engine for %.0f s; its process is killed", self._stall_s)
                child.process.kill()
                self._on_exit(child, "it hung at work")
            except (EOFError, OSError):
                self._on_exit(child, "it died at work")
            else:
                with self._changed:
                    child.idle.append(pipe)
                    self._changed.notify_all()
                return
            for row in trip.begun & trip.waiting.keys():
                out.done(row, EngineFailed("the engine process died after the row had begun"))
                del trip.waiting[row]
            if not trip.waiting:
                return
        for row in trip.waiting:
            out.done(row, EngineFailed("the engine process died on this row twice"))

    def _take_frame(self, trip: "_Trip", pipe: Connection, out: Outbox[Any, Any, Any]) -> None:
        pieces, outcomes, room = wire.receive_step(pipe)
        self.cache_usage = room.cache_usage
        for number, piece in pieces:
            if (row := trip.rows.get(number)) is not None:
                trip.begun.add(row)
                out.piece(row, piece)
        for number, outcome in outcomes:
            if (row := trip.rows.get(number)) is not None:
                out.done(row, outcome)
                trip.end(number, row)
        paused = bool(trip.waiting) and out.contended
        if paused:
            wire.send(pipe, ("pause",))
        turn = out.step(room)
        if turn.dropped:
            dropped = [(number, row) for number, row in trip.rows.items() if row in turn.dropped]
            wire.send(pipe, ("drop", [number for number, _ in dropped]))
            for number, row in dropped:
                trip.end(number, row)
        if turn.joined:
            fresh = dict(enumerate(turn.joined, start=trip.known))
            trip.known += len(fresh)
            trip.waiting.update(fresh)
            wire.send(pipe, ("join", trip.number(self._numbers, fresh)))
        if paused:
            wire.send(pipe, ("resume",))

    def _take_lane(self) -> tuple[EngineProcess, Connection]:
        with self._changed:
            while (child := self._usable()) is None:
                if self.state in ("unloaded", "unloading", "failed", "closed"):
                    raise Unavailable(self.reason or "The model is unloaded.", 5.0)
                self._changed.wait()
            return child, child.idle.pop()

    def _usable(self) -> EngineProcess | None:
        child = self._child
        return child if self.state == "ready" and child is not None and not child.dead and child.idle else None

    # --- starts and restarts --------------------------------------------------------------------------------

    def _supervise(self) -> None:
        failures, first = 0, True
        while not self._closing.is_set():
            began_s = time.perf_counter()
            child, problem = self._spawn()
            if problem is None:
                failures = 0
                self._announce(time.perf_counter() - began_s, first)
                first = False
                child.process.wait()
                problem = Problem(exit_reason(child.process.returncode))
            self._reap(child, problem.told)
            if self._closing.is_set():
                return
            failures += 1
            log.error("the engine process for %s died: %s", self.spec.name, problem.what)
            if problem.is_final or failures >= STARTS:
                with self._changed:
                    self._set("failed", f"The model's engine does not start: {problem.told}. {LOG_SAYS_MORE}")
                return
            self._closing.wait(self._backoff_s(failures))

    def _spawn(self) -> tuple[EngineProcess, Problem | None]:
        """Start a process, and wait until it has loaded its model or failed."""
        child = begin(self.spec, self._stall_s)
        with self._changed:
            self._child = child
            if self._closing.is_set():
                child.process.kill()
        return child, load(child, self.spec, self._start_limit_s)

    def _announce(self, seconds: float, first: bool) -> None:
        if self._watcher is not None:
            self._watcher.loaded(seconds)
            if not first:
                self._watcher.restarted()
        with self._changed:
            if not self._closing.is_set():
                self._set("ready", "")

    def _on_exit(self, child: EngineProcess, problem: str) -> None:
        """Note that the process is dead, at the first sign of it, so that no run takes one of its lanes."""
        with self._changed:
            if not child.dead:
                child.dead = True
                self.cache_usage = 0.0
                if not self._closing.is_set():
                    self._set("restarting", f"The model's engine is restarting: {problem}.")

    def _reap(self, child: EngineProcess, problem: str) -> None:
        self._on_exit(child, problem)
        child.end()

    def _set(self, state: State, reason: str) -> None:
        if self.state != "closed":
            self.state, self.reason = state, reason
            self._changed.notify_all()
            self.on_change()
