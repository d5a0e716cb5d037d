"""The data folder of a server: files, uploads and batches in one place, opened and swept together."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from server.errors import ServerError
from server.store.batches import OPEN, Batches
from server.store.contents import Contents
from server.store.database import Database
from server.store.files import Files, Quotas
from server.store.uploads import Uploads

log = logging.getLogger(__name__)

JUMP_S = 60.0
"""A clock that goes forward by so much more than time has passed has been set. What expires then does so later."""


class Store:
    """All that a server keeps on its disk.

    Args:
        folder: the data folder; nothing is made there before ``open``.
        quotas: of each key.
        wall, steady: clocks: Unix seconds, and seconds that never jump.
        most_pages: of the database; 0: no limit.
    """

    def __init__(
        self,
        folder: Path,
        quotas: Quotas = Quotas(),  # noqa: B008  frozen
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        most_pages: int = 0,
    ) -> None:
        self._folder = folder
        self._wall = wall
        self._steady = steady
        self._seen_s = wall(), steady()
        self.bytes = 0
        """Bytes of all files, at the last ``tick``."""
        self.database = Database(folder, most_pages)
        self._contents = Contents(folder)
        self.files = Files(self.database, self._contents, quotas, self.now)
        self.uploads = Uploads(self.database, self._contents, self.files, self.now)
        self.batches = Batches(self.database, quotas, self.now)

    def now(self) -> int:
        """The present time in Unix seconds. A clock that was set forward counts once ``tick`` has noticed it."""
        wall_s, jumped_s = self._jump()
        return int(wall_s - jumped_s)

    @property
    def is_open(self) -> bool:
        """Whether it does work."""
        return self.database.problem is None

    async def open(self) -> bool:
        """Open the folder, and finish or remove what an earlier server left. Says whether it is open."""
        if not await self.database.open():
            return False
        try:
            kept = await self.uploads.kept_parts()
            await asyncio.to_thread(self._contents.open, kept)
            await self.files.tidy()
            await self.batches.resume()
        except (ServerError, OSError) as error:
            log.error("the data folder %s cannot be used: %s", self._folder, error)
            await self.database.close()
            return False
        return True

    async def tick(self) -> None:
        """Remove what has expired. To be called every few seconds.

        Raises:
            ServerError: the database does no work now.
        """
        await self._notice_jump()
        await self.uploads.sweep()
        await self.files.sweep()
        query = "SELECT coalesce(sum(bytes), 0) FROM files"
        (self.bytes,) = await self.database.run(lambda connection: connection.execute(query).fetchone())

    async def close(self) -> None:
        """Close the folder, after all that was begun."""
        await self.database.close()

    def _jump(self) -> tuple[float, float]:
        """The time on the wall clock, and by how much it was set forward since the last look; mostly 0."""
        wall_s = self._wall()
        jumped_s = (wall_s - self._seen_s[0]) - (self._steady() - self._seen_s[1])
        return wall_s, jumped_s if jumped_s >= JUMP_S else 0.0

    async def _notice_jump(self) -> None:
        """Where the clock was set forward, nothing expires earlier: its time moves along."""
        wall_s, jumped_s = self._jump()
        if jumped_s:
            log.warning("the clock was set forward by %.0f s; files and batches expire so much later", jumped_s)
            await self.database.run(lambda connection: _move(connection, int(jumped_s)))
        self._seen_s = wall_s, self._steady()


def _move(connection: sqlite3.Connection, by_s: int) -> None:
    for table, which in (
        ("files", "expires_at IS NOT NULL"),
        ("uploads", "state = 'pending'"),
        ("batches", f"status IN {OPEN}"),
    ):
        connection.execute(f"UPDATE {table} SET expires_at = expires_at + ? WHERE {which}", (by_s,))
