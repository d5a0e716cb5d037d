"""Functions that all recipes share: compressed rows, atomic checkpoints, a time budget, a manifest.

Knows nothing about any one model, its data or its network.
"""

from __future__ import annotations

import lzma
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from models import writing
from models.writing import digests

Table = Mapping[str, Any]


def read_tsv_xz(path: Path) -> Iterator[list[str]]:
    """The rows of a compressed tab separated file, in order."""
    with lzma.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield line.rstrip("\n").split("\t")


def write_manifest(folder: Path, top: Table, tables: Mapping[str, Table | Sequence[Table]]) -> None:
    """Write `model.toml`: top-level keys, tables, lists of tables, then every file's checksum."""
    writing.write_manifest(folder, {**top, **tables, "files": digests(folder)})


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write beside the old checkpoint, then replace it: a crash leaves one good file."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The saved state on the CPU, or None where there is no checkpoint yet."""
    import torch

    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class TimeBudget:
    """Training time spent, over all resumed runs, against the time allowed."""

    def __init__(self, allowed_s: float, spent_before_s: float = 0.0) -> None:
        self._allowed_s = allowed_s
        self._spent_before_s = spent_before_s
        self._started_s = time.monotonic()

    @property
    def spent_s(self) -> float:
        """Seconds, earlier runs included."""
        return self._spent_before_s + time.monotonic() - self._started_s

    @property
    def fraction(self) -> float:
        """0 at the start, 1 when the budget is spent."""
        return min(1.0, self.spent_s / self._allowed_s) if self._allowed_s > 0.0 else 1.0


class StopRequest:
    """True once the process got SIGTERM or SIGINT, so that a loop can save and end."""

    def __init__(self) -> None:
        self._stop = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def __bool__(self) -> bool:
        return self._stop
