"""The model folders on disk: which have come, changed and gone since the last look, and when the disk is looked at.

A look costs a ``stat`` a file where nothing has changed. It may be taken on any thread, one at a time; names that
nobody knows cause one look a second at most. A model that serves is given up only for one that is whole: a folder
that is still being written, or is damaged, takes nothing away.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.registry import MANIFEST, ManifestError, ModelCard, model_files, read_card, verify
from server.errors import LOG_SAYS_MORE
from server.serving.dropped import Dropped
from server.serving.served_model import Broken, ServedModel

log = logging.getLogger(__name__)

Stamp = Mapping[str, tuple[int, int]]
"""Size and time of change of each file, by which a changed folder is noticed."""

DAMAGED = "Its files are damaged, or not what its manifest says."
UNREADABLE = "Its files could not be read."
"""Sentences for clients. The log has the file and the exception."""


class NoRoom(Exception):
    """A model is larger than all memory there is for models; the message is for the log."""


@dataclass(slots=True)
class _Folder:
    """The state of one folder."""

    entry: ServedModel | Broken | None
    """None: its manifest is wrong."""
    stamp: Stamp
    """Sizes and times of the files when the entry was made."""
    tried: Stamp
    """Sizes and times of the files at the last attempt to read the folder, successful or not."""


class Folders:
    """Reads the folders below some roots.

    Args:
        roots: folders of model folders; a model of an earlier one takes the place of one that has the same id.
        wanted: ids to serve; empty: all.
        taken: names that no model may have.
        dropped: the files that become model folders; None: none do.
        build: makes what serves a model; raises ``NoRoom``, ``ManifestError`` or ``ValueError`` when it cannot be
            served.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        build: Callable[[ModelCard], ServedModel],
        wanted: Collection[str] = (),
        taken: Collection[str] = (),
        dropped: Dropped | None = None,
    ) -> None:
        self.entries: Mapping[str, ServedModel | Broken] = {}
        """The models, by id; each look replaces the whole mapping."""
        self._roots = roots
        self._build = build
        self._wanted = wanted
        self._taken = taken
        self._dropped = dropped
        self._lock = threading.Lock()
        self._known: dict[Path, _Folder] = {}

    def look(self) -> None:
        """Bring ``entries`` up to date."""
        with self._lock:
            files = self._dropped.look() if self._dropped is not None else {}
            folders = [file.parent for file in model_files(self._roots)]
            self._known = {folder: self._look_at(folder) for folder in folders}
            found: dict[str, ServedModel | Broken] = {}
            for folder, known in self._known.items():
                if known.entry is None:
                    continue
                name = known.entry.card.id
                if name in found and found[name].card.folder.parent == folder.parent:
                    log.error("%s is not served: %s has the id '%s' too", folder, found[name].card.folder, name)
                found.setdefault(name, known.entry)
            self.entries = {**files, **found}

    def close(self) -> None:
        """End what goes on in the background."""
        with self._lock:
            if self._dropped is not None:
                self._dropped.close()

    def _look_at(self, folder: Path) -> _Folder:
        stamp = _stamp(folder)
        known = self._known.get(folder)
        if known is None:
            return _Folder(self._read(folder), stamp, stamp)
        # A model that serves needs none of its files any longer: only a new manifest makes it another one.
        serves = isinstance(known.entry, ServedModel) and known.entry.model.engine.state != "failed"
        if stamp == known.tried or (serves and stamp.get(MANIFEST) == known.stamp.get(MANIFEST)):
            return known
        entry = self._read(folder, whole=serves)
        if serves and not isinstance(entry, ServedModel):
            log.error("%s has changed and cannot be served; what it was goes on", folder)
            return _Folder(known.entry, known.stamp, stamp)
        log.info("%s is read anew", folder)
        return _Folder(entry, stamp, stamp)

    def _read(self, folder: Path, *, whole: bool = False) -> ServedModel | Broken | None:
        """The model of a folder. With ``whole`` the weights' checksum is checked now, and not only by their engine."""
        try:
            card = read_card(folder)
        except ManifestError as error:
            log.error("a folder is not served: %s", error)
            return None
        if self._wanted and card.id not in self._wanted:
            return None
        if card.id in self._taken:
            log.error("%s is not served: '%s' is an alias here", folder, card.id)
            return None
        try:
            verify(card, weights=whole)
            return self._build(card)
        except NoRoom as error:
            problem, kind = str(error), "It needs more memory than memory_mb allows."
        except ManifestError as error:
            problem, kind = f"{error.file.name}: {error.problem}", f"{DAMAGED} {LOG_SAYS_MORE}"
        except Exception as error:  # whatever is in a folder, it must not keep others from being served
            problem, kind = f"{type(error).__name__}: {error}", f"{UNREADABLE} {LOG_SAYS_MORE}"
        log.error("the model %s is not served: %s", card.id, problem)
        return Broken(card, kind)


def _stamp(folder: Path) -> Stamp:
    stamp = {}
    for file in folder.rglob("*"):
        try:
            facts = file.stat()
        except OSError:  # it has gone since
            continue
        stamp[str(file.relative_to(folder))] = (facts.st_size, facts.st_mtime_ns)
    return stamp


REST_S = 1.0
"""Between the beginnings of two looks for unknown names: anybody can make up names."""


class Looks:
    """Looks that are shared by all who ask before they begin.

    Args:
        look: one look, off the event loop; it is never under way twice.
        clock: monotonic seconds.
        sleep: waits so many of them.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._look = look
        self._clock = clock
        self._sleep = sleep
        self._one = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        """The look that has not begun yet."""
        self._unknown: asyncio.Task[None] | None = None
        """The same, for unknown names."""
        self._unknown_s = float("-inf")
        """When the last one for unknown names was asked for."""

    async def fresh(self) -> None:
        """Wait for a look that begins after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._run())
        await asyncio.shield(self._next)

    async def unknown(self) -> None:
        """The same for a name that is not known: where there has just been a look for one, a little later."""
        if self._unknown is None:
            self._unknown = asyncio.create_task(self._run_later())
        await asyncio.shield(self._unknown)

    async def _run(self) -> None:
        async with self._one:
            self._next = None
            await self._look()

    async def _run_later(self) -> None:
        if (rest_s := self._unknown_s + REST_S - self._clock()) > 0:
            await self._sleep(rest_s)
        self._unknown, self._unknown_s = None, self._clock()
        await self.fresh()
