"""One engine process, from its start to its death. Restarts and the rows of a dead process are the supervisor's."""

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NamedTuple

from server.engines.kinds import EngineSpec
from server.engines.process import wire

MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
"""For glibc: an engine keeps the memory of one batch for the next. Else each batch returns its buffers to
the kernel and faults them in again: a tenth to a fifth of an encoder's time (``load_tests/RESULTS.md``)."""


class Problem(NamedTuple):
    """The reason why a process does not serve, or not any longer."""

    what: str
    """For the log: may quote an exception or name a file."""
    is_final: bool = False
    """Whether another try would end the same way."""
    kind: str = ""
    """For clients, without foreign text; empty means the same as for the log."""

    @property
    def told(self) -> str:
        """The text for clients."""
        return self.kind or self.what


@dataclass(slots=True)
class EngineProcess:
    """A process and the pipes to it."""

    process: subprocess.Popen[bytes]
    control: Connection
    idle: list[Connection]
    """Pipes of lanes without a run."""
    all: list[Connection] = field(default_factory=list)
    dead: bool = False
    cache_blocks: tuple[int, int] | None = None
    """Positions a block of its cache, and how many blocks; None for an engine without one, and until it has loaded."""

    def end(self) -> None:
        """Make sure that the process has ended and that no thread waits on its pipes."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.control, *self.all):
            hang_up(pipe)


def begin(spec: EngineSpec, silence_s: float) -> EngineProcess:
    """Start a process with one pipe for control and one for each lane, on which it may be silent for so long."""
    ours, theirs = zip(*(Pipe() for _ in range(spec.lanes + 1)), strict=True)
    fds = [pipe.fileno() for pipe in theirs]
    process = subprocess.Popen(  # noqa: S603  our own module, our own arguments
        # -P: Python imports no module from the working directory.
        [sys.executable, "-P", "-m", "server.engines.process.child", spec.name, *map(str, fds)],
        pass_fds=fds,
        stdin=subprocess.DEVNULL,
        env=MALLOC | os.environ,
        start_new_session=True,  # a Ctrl-C in the terminal reaches the parent only
    )
    for pipe in theirs:
        pipe.close()
    for pipe in ours[1:]:
        wire.limit_silence(pipe, silence_s)
    return EngineProcess(process, ours[0], list(ours[1:]), list(ours[1:]))


def load(child: EngineProcess, spec: EngineSpec, limit_s: float) -> Problem | None:
    """Let it load its model. Returns None when it has, else the problem."""
    try:
        child.control.send(spec)
        if not child.control.poll(limit_s):
            return Problem("it did not load in time")
        word, said = child.control.recv()
    except (EOFError, OSError):
        return Problem(exit_reason(child.process.wait()))
    if word == "refused":
        return Problem(str(said), True, "its files are damaged, or not what its manifest says")
    if word == "ready":
        child.cache_blocks = said
        return None
    return Problem(str(said), False, "its files could not be loaded")


def hang_up(pipe: Connection) -> None:
    """Close our end so that a lane blocked on it wakes: closing the descriptor alone would not wake it."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


def exit_reason(code: int) -> str:
    """How a process ended, from its return code."""
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
