"""The contents of files in the data folder: written piece by piece under another name, hashed, and renamed when whole.

Knows names and bytes, and no database. A path never reaches a client.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from server.errors import TooLarge
from server.store.database import told

PIECE_BYTES = 1 << 20
"""The bytes that a thread writes at once."""


class Incoming:
    """A file that is being written. Left without ``keep``, it is removed.

    Args:
        file: its name until it is whole.
        most_bytes: the most it may grow to.
        what: the name of its kind, for errors.
    """

    def __init__(self, file: Path, most_bytes: int, what: str = "The file") -> None:
        self._file = file
        self._most_bytes = most_bytes
        self._what = what
        self._buffer = bytearray()
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.bytes = 0

    async def __aenter__(self) -> "Incoming":
        try:
            self._opened = await asyncio.to_thread(self._file.open, "xb", 0)
        except OSError as error:
            raise told(error) from error
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._drop)

    def _drop(self) -> None:
        self._opened.close()
        self._file.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """The hash of all that was written, in hexadecimal; right after ``flush``."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """The same, MD5."""
        return self._md5.hexdigest()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes.

        Raises:
            TooLarge: there are more than allowed.
            StorageFull: the disk is full.
        """
        self.bytes += len(data)
        if self.bytes > self._most_bytes:
            raise TooLarge(self._what, self.bytes, self._most_bytes, field="file")
        self._buffer += data
        if len(self._buffer) >= PIECE_BYTES:
            await self._write()

    async def flush(self) -> None:
        """Write all that is held back, to the disk itself."""
        await self._write()
        try:
            await asyncio.to_thread(os.fsync, self._opened.fileno())
        except OSError as error:
            raise told(error) from error

    async def keep(self, file: Path) -> None:
        """Give the flushed file its name."""
        try:
            await asyncio.to_thread(rename, self._file, file)
        except OSError as error:
            raise told(error) from error

    async def _write(self) -> None:
        piece, self._buffer = bytes(self._buffer), bytearray()
        try:
            await asyncio.to_thread(self._write_piece, piece)
        except OSError as error:
            raise told(error) from error

    def _write_piece(self, piece: bytes) -> None:
        left = memoryview(piece)
        while left:
            left = left[self._opened.write(left) :]
        self._sha256.update(piece)
        self._md5.update(piece)


def rename(file: Path, to: Path) -> None:
    """Rename a file in its file system, and have the folder on the disk too."""
    file.replace(to)
    folder = os.open(to.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Contents:
    """The folder of files, that of parts, and that of what is being written."""

    def __init__(self, folder: Path) -> None:
        self._files = folder / "files"
        self._parts = folder / "parts"
        self._incoming = folder / "incoming"

    def file(self, id: str) -> Path:
        """Where the content of this file lies, or would lie."""
        return self._files / id

    def part(self, id: str) -> Path:
        """Where the content of this part lies, or would lie."""
        return self._parts / id

    def receive(self, most_bytes: int, what: str = "The file") -> Incoming:
        """A new file, to be written."""
        return Incoming(self._incoming / secrets.token_hex(16), most_bytes, what)

    def open(self, kept_parts: Iterable[str]) -> None:
        """Make the folders, and remove what an earlier server left unfinished. Called before anything is written."""
        for folder in (self._files, self._parts, self._incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._incoming.iterdir():
            left.unlink()
        kept = set(kept_parts)
        for part in self._parts.iterdir():
            if part.name not in kept:
                part.unlink()

    def count(self) -> int:
        """The number of files that lie here."""
        return sum(1 for _ in self._files.iterdir())
