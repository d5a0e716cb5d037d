"""Files that clients upload or that batches write: a row each, and a content in the data folder.

A content gets its name only after its row says `incoming`, and loses it only after its row says `deleted`. So whatever
ends the server, the next one knows from the rows what to finish and what to remove. A key sees its own files only.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from server.errors import ServerError
from server.store.contents import Contents, Incoming
from server.store.database import Database
from server.store.errors import ObjectNotFound, QuotaUsedUp
from server.store.pages import Page, next_id, page_of

log = logging.getLogger(__name__)

BATCH_LIVES_S = 30 * 24 * 3600
"""A batch's input expires after so long, unless its client says otherwise. Other files stay."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """The most of each that one key may have."""

    file_bytes: int = 512_000_000
    bytes: int = 10_000_000_000
    files: int = 10_000
    batches: int = 100


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as its row has it."""

    number: int
    id: str
    owner: str
    purpose: str
    filename: str
    bytes: int
    sha256: str
    created_at: int
    expires_at: int | None
    is_lost: bool = False
    """Whether its content is gone, which only somebody at the disk can have done."""


COLUMNS = "number, id, owner, purpose, filename, bytes, sha256, created_at, expires_at"


class Files:
    """All files of one store."""

    def __init__(self, database: Database, contents: Contents, quotas: Quotas, now: Callable[[], int]) -> None:
        self._database = database
        self._contents = contents
        self._quotas = quotas
        self._now = now

    async def room(self, owner: str) -> int:
        """Bytes of a new file that the key's quota leaves room for, before anything is written.

        Raises:
            QuotaUsedUp: the key has as many files as it may, or no byte left.
        """
        files, used = await self._database.run(lambda connection: _used(connection, owner))
        self._require(files + 1, used + 1)
        return min(self._quotas.file_bytes, self._quotas.bytes - used)

    def _require(self, files: int, used: int) -> None:
        if files > self._quotas.files:
            raise QuotaUsedUp("files", self._quotas.files, "Delete some first.")
        if used > self._quotas.bytes:
            raise QuotaUsedUp("bytes of files", self._quotas.bytes, "Delete some first.")

    def receive(self, most_bytes: int, what: str = "The file") -> Incoming:
        """A new content, to be written and then added."""
        return self._contents.receive(most_bytes, what)

    async def add(
        self,
        incoming: Incoming,
        owner: str,
        purpose: str,
        filename: str,
        lives_s: int | None,
        also: Callable[[sqlite3.Connection, str], object] | None = None,
        *,
        must_fit: bool = True,
    ) -> StoredFile:
        """Keep a content that has been written.

        Args:
            incoming: the content.
            owner: the key's hash.
            purpose, filename: as the client names them.
            lives_s: it expires after so long; None: never.
            also: done in the same transaction as the file's last step, with its id.
            must_fit: whether the key's quota limits it.

        Raises:
            QuotaUsedUp: the key's quota has no room for it.
        """
        await incoming.flush()
        now = self._now()
        values = (owner, purpose, filename, incoming.bytes, incoming.sha256, now, now + lives_s if lives_s else None)

        def announce(connection: sqlite3.Connection) -> str:
            if must_fit:
                files, used = _used(connection, owner)
                self._require(files + 1, used + incoming.bytes)
            id = next_id(connection, "files", "file-")
            connection.execute(
                "INSERT INTO files (id, owner, purpose, filename, bytes, sha256, created_at, expires_at, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'incoming')",
                (id, *values),
            )
            return id

        id = await self._database.run(announce)

        def finish(connection: sqlite3.Connection) -> StoredFile:
            connection.execute("UPDATE files SET state = 'stored' WHERE id = ?", (id,))
            if also is not None:
                also(connection, id)
            return StoredFile(*connection.execute(f"SELECT {COLUMNS} FROM files WHERE id = ?", (id,)).fetchone())

        # A client that leaves now does not end it half-way.
        settling = asyncio.ensure_future(self._settle(incoming, id, finish))
        settling.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(settling)

    async def _settle(
        self, incoming: Incoming, id: str, finish: Callable[[sqlite3.Connection], StoredFile]
    ) -> StoredFile:
        try:
            await incoming.keep(self._contents.file(id))
            return await self._database.run(finish)
        except ServerError:
            with suppress(ServerError):  # else the next start removes it
                await self._remove([id])
            raise

    async def page(self, owner: str, page: Page, purpose: str | None = None) -> list[StoredFile]:
        """A page of a key's files and, where there is a next page, one more."""
        where, values = "owner = ? AND state = 'stored'", [owner]
        if purpose is not None:
            where, values = f"{where} AND purpose = ?", [*values, purpose]
        rows = await self._database.run(lambda connection: page_of(connection, "files", COLUMNS, where, values, page))
        return await asyncio.to_thread(lambda: [self._of(row) for row in rows])

    async def find(self, id: str, owner: str) -> StoredFile:
        """A file of this key.

        Raises:
            ObjectNotFound: the key has no such file.
        """
        query = f"SELECT {COLUMNS} FROM files WHERE id = ? AND owner = ? AND state = 'stored'"
        row = await self._database.run(lambda connection: connection.execute(query, (id, owner)).fetchone())
        if row is None:
            raise ObjectNotFound("file", id)
        return await asyncio.to_thread(self._of, row)

    def _of(self, row: Sequence[Any]) -> StoredFile:
        file = StoredFile(*row)
        return replace(file, is_lost=not self._contents.file(file.id).is_file())

    async def content(self, id: str, owner: str) -> tuple[StoredFile, Path]:
        """A file and where its content lies.

        Raises:
            ObjectNotFound: the key has no such file, or its content is gone.
        """
        found = await self.find(id, owner)
        if found.is_lost:
            raise ObjectNotFound("content on the server's disk of the file", id)
        return found, self._contents.file(id)

    async def delete(self, id: str, owner: str) -> None:
        """Remove a file.

        Raises:
            ObjectNotFound: the key has no such file.
        """
        query = "UPDATE files SET state = 'deleted' WHERE id = ? AND owner = ? AND state = 'stored'"
        if not await self._database.run(lambda connection: connection.execute(query, (id, owner)).rowcount):
            raise ObjectNotFound("file", id)
        await self._remove(await self._marked("state = 'deleted'"))

    async def sweep(self) -> None:
        """Remove the files whose time is over."""
        query = "UPDATE files SET state = 'deleted' WHERE expires_at <= ? AND state = 'stored'"
        if await self._database.run(lambda connection: connection.execute(query, (self._now(),)).rowcount):
            await self._remove(await self._marked("state = 'deleted'"))

    async def tidy(self) -> None:
        """Remove what a server that was killed had begun to write or to delete. Called before anything is written."""
        if self._database.is_new and (count := await asyncio.to_thread(self._contents.count)):
            log.warning("the data folder has the contents of %d files that its new database does not know", count)
        await self._remove(await self._marked("state != 'stored'"))

    async def _marked(self, where: str) -> Sequence[str]:
        query = f"SELECT id FROM files WHERE {where}"
        return await self._database.run(lambda connection: [id for (id,) in connection.execute(query)])

    async def _remove(self, ids: Iterable[str]) -> None:
        """Contents first: a row whose content is still there is found again."""
        gone = list(ids)
        for id in gone:
            await asyncio.to_thread(self._contents.file(id).unlink, missing_ok=True)
        if gone:
            query = "DELETE FROM files WHERE id = ? AND state != 'stored'"
            await self._database.run(lambda connection: connection.executemany(query, [(id,) for id in gone]))


def _used(connection: sqlite3.Connection, owner: str) -> tuple[int, int]:
    """Files and bytes of a key, those on their way and the parts of its pending uploads among them."""
    files, used = connection.execute(
        "SELECT count(*), coalesce(sum(bytes), 0) FROM files WHERE owner = ? AND state != 'deleted'", (owner,)
    ).fetchone()
    (parts,) = connection.execute(
        "SELECT coalesce(sum(parts.bytes), 0) FROM uploads JOIN parts ON parts.upload = uploads.number"
        " WHERE uploads.owner = ? AND uploads.state = 'pending'",
        (owner,),
    ).fetchone()
    return files, used + parts
