"""Uploads: files that come in parts, and become one when the client says so.

A part has its row after its content; a part without a row is removed when the server starts.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.errors import BadRequest, InvalidValue
from server.store.contents import PIECE_BYTES, Contents, Incoming
from server.store.database import Database
from server.store.errors import ObjectNotFound
from server.store.files import Files, StoredFile
from server.store.pages import next_id

PART_LIMIT = 64 * 1024 * 1024
"""The largest part, as OpenAI's clients send them."""
LIVES_S = 3600
"""An upload that is not completed expires after so long."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as its row has it."""

    number: int
    id: str
    owner: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int
    file_lives_s: int | None
    file_id: str | None
    state: Literal["pending", "completed", "cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part as its row has it."""

    id: str
    upload_id: str
    bytes: int
    created_at: int


COLUMNS = "number, id, owner, purpose, filename, bytes, created_at, expires_at, file_lives_s, file_id, state"


class Uploads:
    """All uploads of one store."""

    def __init__(self, database: Database, contents: Contents, files: Files, now: Callable[[], int]) -> None:
        self._database = database
        self._contents = contents
        self._files = files
        self._now = now

    async def create(self, owner: str, purpose: str, filename: str, size: int, file_lives_s: int | None) -> Upload:
        """Begin an upload of so many bytes.

        Raises:
            QuotaUsedUp: the key's quota has no room for so much.
            InvalidValue: no file may be so large.
        """
        room = await self._files.room(owner)
        if size > room:
            raise InvalidValue(f"'bytes' is {size}; a file of this key may have {room}.", "bytes")
        now = self._now()

        def insert(connection: sqlite3.Connection) -> Upload:
            id = next_id(connection, "uploads", "upload_")
            connection.execute(
                "INSERT INTO uploads (id, owner, purpose, filename, bytes, created_at, expires_at, file_lives_s, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending')",
                (id, owner, purpose, filename, size, now, now + LIVES_S, file_lives_s),
            )
            return _find(connection, id, owner)

        return await self._database.run(insert)

    async def room(self, id: str, owner: str) -> int:
        """Bytes that may still come to a pending upload, the same limit as a file's.

        Raises:
            ObjectNotFound: the key has no such upload.
            BadRequest: it is no longer pending.
            QuotaUsedUp: the key has no byte left.
        """
        await self._pending(id, owner)
        return min(PART_LIMIT, await self._files.room(owner))

    async def add_part(self, id: str, owner: str, incoming: Incoming) -> Part:
        """Keep a part that has been written.

        Raises:
            ObjectNotFound, BadRequest: as for ``room``.
        """
        await incoming.flush()
        await self._pending(id, owner)
        part_id = await self._database.run(lambda connection: next_id(connection, "parts", "part_"))
        await incoming.keep(self._contents.part(part_id))
        now = self._now()

        def insert(connection: sqlite3.Connection) -> Part:
            upload = _find(connection, id, owner)
            _require_pending(upload)
            connection.execute(
                "INSERT INTO parts (id, upload, bytes, created_at) VALUES (?, ?, ?, ?)",
                (part_id, upload.number, incoming.bytes, now),
            )
            return Part(part_id, id, incoming.bytes, now)

        return await self._database.run(insert)

    async def complete(
        self, id: str, owner: str, part_ids: Sequence[str], md5: str | None
    ) -> tuple[Upload, StoredFile]:
        """Make the file of these parts, in this order.

        Raises:
            ObjectNotFound, BadRequest: as for ``room``.
            InvalidValue: the parts are not the upload's, or they are not what the client announced.
        """
        upload = await self._pending(id, owner)
        query = "SELECT id, bytes FROM parts WHERE upload = ?"
        sizes = dict(
            await self._database.run(lambda connection: connection.execute(query, (upload.number,)).fetchall())
        )
        if unknown := next((part_id for part_id in part_ids if part_id not in sizes), None):
            raise InvalidValue(f"'part_ids': the upload has no part {unknown[:100]}.", "part_ids")
        size = sum(sizes[part_id] for part_id in part_ids)
        if size != upload.bytes:
            raise InvalidValue(f"The parts have {size} bytes; the upload was begun for {upload.bytes}.", "part_ids")
        async with self._files.receive(upload.bytes) as incoming:
            for part_id in part_ids:
                await self._copy(self._contents.part(part_id), incoming)
            await incoming.flush()
            if md5 is not None and md5.lower() != incoming.md5:
                raise InvalidValue(f"'md5' does not match: the parts have {incoming.md5}.", "md5")

            def finish(connection: sqlite3.Connection, file_id: str) -> None:
                _require_pending(_find(connection, id, owner))
                done = "UPDATE uploads SET state = 'completed', file_id = ? WHERE id = ?"
                connection.execute(done, (file_id, id))
                connection.execute("DELETE FROM parts WHERE upload = ?", (upload.number,))

            made = await self._files.add(
                incoming, owner, upload.purpose, upload.filename, upload.file_lives_s, finish, must_fit=False
            )
        await self._remove(sizes)
        return await self.find(id, owner), made

    async def cancel(self, id: str, owner: str) -> Upload:
        """End a pending upload and remove its parts.

        Raises:
            ObjectNotFound, BadRequest: as for ``room``.
        """
        await self._pending(id, owner)
        await self._end("id = ?", id, "cancelled")
        return await self.find(id, owner)

    async def find(self, id: str, owner: str) -> Upload:
        """An upload of this key.

        Raises:
            ObjectNotFound: the key has no such upload.
        """
        return await self._database.run(lambda connection: _find(connection, id, owner))

    async def sweep(self) -> None:
        """End the uploads whose time is over."""
        await self._end("expires_at <= ?", self._now(), "expired")

    async def kept_parts(self) -> Sequence[str]:
        """The ids of all parts that have rows."""
        return await self._database.run(lambda connection: [id for (id,) in connection.execute("SELECT id FROM parts")])

    async def _pending(self, id: str, owner: str) -> Upload:
        upload = await self.find(id, owner)
        _require_pending(upload)
        return upload

    async def _end(self, where: str, value: object, state: str) -> None:
        def end(connection: sqlite3.Connection) -> list[str]:
            of = f"SELECT number FROM uploads WHERE {where} AND state = 'pending'"
            parts = connection.execute(f"SELECT id FROM parts WHERE upload IN ({of})", (value,)).fetchall()
            connection.execute(f"DELETE FROM parts WHERE upload IN ({of})", (value,))
            done = f"UPDATE uploads SET state = ? WHERE {where} AND state = 'pending'"
            connection.execute(done, (state, value))
            return [id for (id,) in parts]

        await self._remove(await self._database.run(end))

    async def _remove(self, part_ids: Sequence[str] | dict[str, int]) -> None:
        for part_id in part_ids:
            await asyncio.to_thread(self._contents.part(part_id).unlink, missing_ok=True)

    @staticmethod
    async def _copy(part: Path, incoming: Incoming) -> None:
        try:
            opened = await asyncio.to_thread(part.open, "rb")
        except FileNotFoundError:
            raise BadRequest(
                "A part is no longer on the server's disk; cancel the upload and begin it again."
            ) from None
        with opened:
            while data := await asyncio.to_thread(opened.read, PIECE_BYTES):
                await incoming.write(data)


def _find(connection: sqlite3.Connection, id: str, owner: str) -> Upload:
    query = f"SELECT {COLUMNS} FROM uploads WHERE id = ? AND owner = ?"
    row = connection.execute(query, (id, owner)).fetchone()
    if row is None:
        raise ObjectNotFound("upload", id)
    return Upload(*row)


def _require_pending(upload: Upload) -> None:
    if upload.state != "pending":
        raise BadRequest(f"The upload is {upload.state}; only a pending one takes parts, is completed or cancelled.")
