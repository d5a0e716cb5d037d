"""GGUF files that were dropped into the models folders: each becomes a model folder once, in a process of its own.

The file is read by ``hearth convert`` in another process, one at a time: neither a large nor a hostile file costs the
server more than that process. Until the folder is there, the file is listed as a model that is being imported. A file
that cannot be imported is listed as failed, named in the log, and tried again when it changes.
"""

import contextlib
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from models.cards import ModelCard, TokenizerSpec
from server.errors import LOG_SAYS_MORE
from server.serving.served_model import Broken

log = logging.getLogger(__name__)

IMPORTING = "It is being imported from a GGUF file and answers when that is done."
FAILED = f"Its GGUF file cannot be imported. {LOG_SAYS_MORE}"
_NICENESS = 10
"""An import gives way to requests."""
_SHARD = re.compile(r"(?P<name>.*)-(?P<number>\d{5})-of-\d{5}")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_OUTPUT_BYTES = 1 << 14

Stamp = tuple[int, int]
"""Size and time of change of a file."""


def import_command(file: Path, name: str, models_dir: Path) -> list[str]:
    """The command that makes a model folder of a file."""
    where = ["--name", name, "--models-dir", str(models_dir)]
    return [sys.executable, "-P", "-m", "server", "convert", str(file), *where]


@dataclass(slots=True)
class _Import:
    """One file on its way."""

    file: Path
    name: str
    stamp: Stamp
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]


class Dropped:
    """The files below some roots.

    Args:
        roots: the models folders; model folders are made in the first.
        wanted: ids to serve; empty: all.
        command: the command that imports a file; it takes the file, the model's id and the folder for models.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        wanted: Collection[str] = (),
        command: Callable[[Path, str, Path], list[str]] = import_command,
    ) -> None:
        self._roots = roots
        self._wanted = wanted
        self._command = command
        self._running: _Import | None = None
        self._failed: dict[Path, Stamp] = {}
        """Files that could not be imported, as they were then."""

    def look(self) -> Mapping[str, Broken]:
        """Begin what is to be imported; what is not there yet, by id. Never called twice at a time."""
        self._collect()
        found: dict[str, Broken] = {}
        for file, name in self._files():
            try:
                facts = file.stat()
            except OSError:  # it has gone since
                continue
            stamp = (facts.st_size, facts.st_mtime_ns)
            if any((root / name).exists() for root in self._roots) or name in found:
                continue
            if self._failed.get(file) != stamp and self._running is None:
                self._begin(file, name, stamp)
            is_failed = self._failed.get(file) == stamp
            card = _card(file, name, int(facts.st_mtime))
            found[name] = Broken(card, FAILED if is_failed else IMPORTING, "failed" if is_failed else "importing", True)
        return found

    def close(self) -> None:
        """End an import that is under way; nothing of it is left behind, and the next server begins it anew."""
        if self._running is not None:
            self._running.process.terminate()
            self._running.process.wait()
            self._running.output.close()
            self._running = None

    def _files(self) -> list[tuple[Path, str]]:
        """The files that may become models, and the ids that they get."""
        found = []
        for root in self._roots:
            for file in sorted(root.glob("*.gguf")):
                shard = _SHARD.fullmatch(file.stem)
                name = _NO_NAME.sub("-", shard["name"] if shard else file.stem).lstrip("._-")[:96]
                if not name or "mmproj" in name.lower() or (shard and int(shard["number"]) != 1):
                    continue
                if not self._wanted or name in self._wanted:
                    found.append((file, name))
        return found

    def _begin(self, file: Path, name: str, stamp: Stamp) -> None:
        log.info("importing %s as %s", file, name)
        output = tempfile.TemporaryFile()  # noqa: SIM115 - kept until the process has ended
        try:
            process = subprocess.Popen(  # noqa: S603
                self._command(file, name, self._roots[0]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
        except OSError as error:
            output.close()
            self._fail(file, stamp, str(error))
            return
        with contextlib.suppress(OSError, AttributeError):  # some systems have no such thing
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        self._running = _Import(file, name, stamp, process, output)

    def _collect(self) -> None:
        """Take note of the end of the import that is under way."""
        running = self._running
        if running is None or running.process.poll() is None:
            return
        self._running = None
        with running.output as output:
            if running.process.returncode == 0:
                log.info("%s was imported as %s", running.file, running.name)
                return
            output.seek(0)
            said = output.read(_MOST_OUTPUT_BYTES).decode("utf-8", "replace").strip().splitlines()
        why = said[-1].removeprefix("hearth: ") if said else f"the import ended with {running.process.returncode}"
        self._fail(running.file, running.stamp, why)

    def _fail(self, file: Path, stamp: Stamp, why: str) -> None:
        self._failed[file] = stamp
        log.error("%s is not served: %s", file, why)


def _card(file: Path, name: str, changed: int) -> ModelCard:
    """The card of a model whose file has not been read yet."""
    return ModelCard(
        id=name,
        task="generation",
        family="hub",
        summary=f"{file.name}, dropped into the models folder.",
        license="unknown",
        created=changed,
        context_length_tokens=0,
        quantization="",
        parameters=0,
        tokenizer=TokenizerSpec("huggingface", ""),
        files={},
        folder=file.parent,
    )
