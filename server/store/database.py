"""One SQLite file and the thread that alone reads and writes it: nothing of it runs on the event loop.

The file is in WAL mode, and every commit waits for the disk. Its lock is exclusive for as long as the server runs, so a
second server on the same folder is told so; the system gives the lock back however the first one ends. A file that is
damaged or gone stays as it is: the database then refuses its work, and the rest of the server goes on.
"""

import asyncio
import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from server.errors import ServerError, Unavailable
from server.store.errors import StorageFull
from server.store.schema import migrate

ResultT = TypeVar("ResultT")

log = logging.getLogger(__name__)

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The system's errors for a file that cannot grow."""
DAMAGED = "The server's database is damaged, so files and batches are not served. Its log says more."
IN_USE = "Another server uses this server's data folder, so this one serves no files and batches."
GONE = "The server's database has vanished from its disk, so files and batches are not served. Its log says more."


def told(error: OSError) -> ServerError:
    """The error that a client sees for a failure of the disk."""
    if error.errno in FULL:
        return StorageFull()
    log.error("the data folder cannot be used: %s", error)
    return Unavailable("The server cannot use its data folder. Its log says more.", 60)


class Database:
    """The file ``hearth.db`` of a folder. ``start`` is the number of this opening, known once it is open.

    Args:
        folder: made at the opening where it is not there.
        most_pages: pages that the file may have; 0: no limit of our own.
    """

    def __init__(self, folder: Path, most_pages: int = 0) -> None:
        self.file = folder / "hearth.db"
        self.start = 0
        self.is_new = False
        """Whether this opening made the file."""
        self.is_final = False
        """Whether another try to open it is of no use: somebody must see to it first."""
        self._most_pages = most_pages
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._thread: ThreadPoolExecutor | None = None
        self._problem: ServerError | None = Unavailable("The server's files and batches are not open yet.")

    @property
    def problem(self) -> ServerError | None:
        """Why it does no work; None while it does."""
        return self._problem

    async def open(self) -> bool:
        """Open the file, bring its tables up to date and check it. Says whether it is open; ``problem`` says why not.

        A file that another server has may be opened later, by another call.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        before, self.is_final = self._problem, False
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
            self._problem = None
        except ServerError as error:
            self._problem = error
            if before is None or before.message != error.message:
                log.warning("%s: %s", self.file.parent, error.message)
        return self._problem is None

    async def run(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Run ``work`` in a transaction, all of it or nothing, and return its result.

        Raises:
            StorageFull: the disk is full.
            Unavailable: the database is not open, damaged or gone.
        """
        if self._problem is not None:
            raise replace(self._problem)
        if self._thread is None:  # closed
            raise Unavailable("The server is shutting down.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def close(self) -> None:
        """Close the file after all work that was begun."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._problem = Unavailable("The server is shutting down.")
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            await asyncio.to_thread(thread.shutdown)

    def _open(self) -> None:
        self._close()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.is_new = not self.file.exists()
            connection = sqlite3.connect(self.file, isolation_level=None, timeout=0)
        except OSError as error:
            raise told(error) from error
        except sqlite3.Error as error:
            raise self._told(error) from error
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise self._damaged(found)
            migrate(connection)
            self.start = connection.execute("INSERT INTO starts (at) VALUES (?)", (int(time.time()),)).lastrowid or 0
            if self._most_pages:
                connection.execute(f"PRAGMA max_page_count = {self._most_pages:d}")
            self._inode = self.file.stat().st_ino
        except sqlite3.Error as error:
            connection.close()
            raise self._told(error) from error
        except ServerError:
            connection.close()
            self.is_final = True
            raise
        self._connection = connection

    def _run(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        connection = self._connection
        if connection is None:
            raise Unavailable("The server is shutting down.")
        self._require_file()
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            if isinstance(result, sqlite3.Cursor):
                result.close()  # else its end in another thread resets a statement that this thread may be running
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._told(error) from error
        except OSError as error:
            raise told(error) from error
        else:
            return result
        finally:
            if connection.in_transaction:
                with suppress(sqlite3.Error):  # a full disk has rolled it back already
                    connection.execute("ROLLBACK")

    def _require_file(self) -> None:
        """Refuse to write into a file that no name leads to any longer: it would be lost with the process."""
        try:
            is_there = os.stat(self.file).st_ino == self._inode
        except OSError:
            is_there = False
        if not is_there:
            log.error("%s has been removed or replaced while the server ran; start the server again", self.file)
            self._problem, self.is_final = Unavailable(GONE, 60), True
            raise replace(self._problem)

    def _told(self, error: sqlite3.Error) -> ServerError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return StorageFull()
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Unavailable(IN_USE, 5)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            self._problem, self.is_final = self._damaged(str(error)), True
            return self._problem
        log.error("the database %s cannot be used: %s", self.file, error)
        return Unavailable("The server cannot use its database. Its log says more.", 10)

    def _damaged(self, found: str) -> ServerError:
        log.error(
            "%s is damaged: %s. Restore it from a copy, or move it away: the server then begins a new one and leaves "
            "the contents of files where they are.",
            self.file,
            found,
        )
        return Unavailable(DAMAGED, 60)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
