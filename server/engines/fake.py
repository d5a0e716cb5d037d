"""An engine without weights, for tests of the code around engines. Each of its rows says how it ends.

It keeps the whole contract, with steps, joining rows and dropped rows. So the contract suite, the batcher's tests and
the fault tests run on it in milliseconds.
"""

import os
import signal
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.engines.base import Outbox, Room
from server.engines.kinds import EngineSpec

Fate = Literal["result", "raise", "forget", "die", "die once"]


@dataclass(frozen=True, slots=True)
class FakeRow:
    """A row that puts one of ``pieces`` in each step and then ends with ``name`` as its result."""

    name: str
    pieces: Sequence[object] = ()
    fate: Fate = "result"
    """How the row ends after its last piece; ``die`` kills the engine's process."""
    key: Hashable = ()
    tokens: int = 1
    hold: Path | None = None
    """A named pipe: the row's first step waits until somebody has opened it for writing."""
    log: Path | None = None
    """A file that grows by a byte with each of the row's steps."""
    marker: Path | None = None
    """For ``die once``: a file whose existence shows that the process has died before. The row makes it and dies."""


class FakeEngine:
    """The engine without weights.

    ``spec.options``: ``refill`` (bool): take joining rows; ``capacity`` (int): the most rows at a time then; ``broken``
    (str): fail to start with this message; ``fatal`` (bool): kill the process at the start.
    """

    def __init__(self, spec: EngineSpec) -> None:
        if spec.options.get("fatal"):
            os.kill(os.getpid(), signal.SIGKILL)
        if problem := spec.options.get("broken"):
            raise RuntimeError(str(problem))
        self._capacity = int(spec.options.get("capacity", 8)) if spec.options.get("refill") else 0
        self.ran: list[list[str]] = []
        """The names of the rows of each run. Names of rows that joined begin with a plus sign."""
        self.closed = False

    def run(self, rows: Sequence[FakeRow], out: Outbox[FakeRow, object, str]) -> None:
        """Work on all rows, one piece of each row in a step."""
        self.ran.append([row.name for row in rows])
        known = list(rows)
        progress = dict.fromkeys(range(len(rows)), 0)
        while progress:
            for i in list(progress):
                if self._advance(i, known[i], progress[i], out):
                    del progress[i]
                else:
                    progress[i] += 1
            turn = out.step(Room(max(0, self._capacity - len(progress)), 1_000_000))
            for i in turn.dropped:
                progress.pop(i, None)
            for row in turn.joined:
                self.ran[-1].append(f"+{row.name}")
                progress[len(known)] = 0
                known.append(row)

    def _advance(self, i: int, row: FakeRow, step: int, out: Outbox[FakeRow, object, str]) -> bool:
        """Do the row's next step. Returns True if it was the last."""
        if step == 0 and row.hold is not None:
            row.hold.read_bytes()
        if row.log is not None:
            with row.log.open("ab") as log:
                log.write(b".")
        if step < len(row.pieces):
            out.piece(i, row.pieces[step])
            return False
        if row.fate == "raise":
            raise RuntimeError(f"row {row.name} raised")
        if row.fate == "die" or (row.fate == "die once" and row.marker is not None and not row.marker.exists()):
            if row.marker is not None:
                row.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if row.fate != "forget":
            out.done(i, row.name)
        return True

    def close(self) -> None:
        """Note that the engine was closed; it has nothing to free."""
        self.closed = True
