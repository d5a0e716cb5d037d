"""Batches and their lines: rows, and the transactions that change them.

A line waits, is leased to a start of the server, and ends completed or failed. Its result, its state and the counts of
its batch are written in one transaction, so every line is answered once, whatever ends the server. A lease belongs to
one start: the leases of earlier starts are void, and no clock decides.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from server.errors import BadRequest
from server.store.database import Database
from server.store.errors import ObjectNotFound, QuotaUsedUp
from server.store.files import Quotas
from server.store.pages import Page, next_id, page_of

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
Ending = Literal["completed", "failed", "expired", "cancelled"]
OPEN = ("validating", "in_progress", "finalizing", "cancelling")
WINDOW_S = 24 * 3600
"""The completion window, ``24h``."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that lines have read and made."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as its row has it. Times are Unix seconds; None: not so far."""

    number: int
    id: str
    owner: str
    endpoint: str
    input_file_id: str
    status: Status
    ending: Ending | None
    """The batch's status once its files are written; None while lines are left."""
    model: str | None
    output_file_id: str | None
    error_file_id: str | None
    output_lives_s: int | None
    created_at: int
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    total: int
    completed: int
    failed: int
    leased: int
    """Lines at work."""
    tokens: Tokens = field(default_factory=Tokens)
    metadata: Mapping[str, str] | None = None
    errors: Sequence[Mapping[str, Any]] | None = None

    @property
    def waiting(self) -> int:
        """Lines that nobody works on."""
        return self.total - self.completed - self.failed - self.leased


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line of an input file that is in order."""

    line: int
    custom_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A line that this start of the server works on."""

    batch: int
    line: int
    custom_id: str
    body: bytes
    endpoint: str
    owner: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A line's end. ``result`` is its line of the output; None: it waits again."""

    batch: int
    line: int
    result: bytes | None
    is_good: bool = False
    tokens: Tokens = field(default_factory=Tokens)


PLAIN = (
    "number, id, owner, endpoint, input_file_id, status, ending, model, output_file_id, error_file_id, output_lives_s, "
    "created_at, expires_at, in_progress_at, finalizing_at, completed_at, failed_at, expired_at, cancelling_at, "
    "cancelled_at, total, completed, failed"
)
COLUMNS = (
    f"{PLAIN}, (SELECT count(*) FROM lines WHERE lines.batch = batches.number AND lines.state = 'leased'), "
    "input_tokens, cached_tokens, output_tokens, reasoning_tokens, metadata, errors"
)


def _batch(row: Sequence[Any]) -> Batch:
    input, cached, output, reasoning, metadata, errors = row[-6:]
    return replace(
        Batch(*row[:-6]),
        tokens=Tokens(input, cached, output, reasoning),
        metadata=json.loads(metadata) if metadata is not None else None,
        errors=json.loads(errors) if errors is not None else None,
    )


class Batches:
    """All batches of one store."""

    def __init__(self, database: Database, quotas: Quotas, now: Callable[[], int]) -> None:
        self._database = database
        self._quotas = quotas
        self.now = now

    async def create(
        self,
        owner: str,
        endpoint: str,
        input_file_id: str,
        metadata: Mapping[str, str] | None,
        output_lives_s: int | None,
    ) -> Batch:
        """Add a batch, which is to be validated.

        Raises:
            QuotaUsedUp: the key has as many open batches as it may.
        """
        now = self.now()

        def insert(connection: sqlite3.Connection) -> Batch:
            count = f"SELECT count(*) FROM batches WHERE owner = ? AND status IN {OPEN}"
            (open,) = connection.execute(count, (owner,)).fetchone()
            if open >= self._quotas.batches:
                raise QuotaUsedUp("open batches", self._quotas.batches, "Wait until one has ended, or cancel one.")
            id = next_id(connection, "batches", "batch_")
            connection.execute(
                "INSERT INTO batches (id, owner, endpoint, input_file_id, metadata, output_lives_s, status, created_at,"
                " expires_at) VALUES (?, ?, ?, ?, ?, ?, 'validating', ?, ?)",
                (
                    id,
                    owner,
                    endpoint,
                    input_file_id,
                    json.dumps(dict(metadata)) if metadata is not None else None,
                    output_lives_s,
                    now,
                    now + WINDOW_S,
                ),
            )
            return _find(connection, id, owner)

        return await self._database.run(insert)

    async def find(self, id: str, owner: str) -> Batch:
        """A batch of this key.

        Raises:
            ObjectNotFound: the key has no such batch.
        """
        return await self._database.run(lambda connection: _find(connection, id, owner))

    async def page(self, owner: str, page: Page) -> list[Batch]:
        """A page of a key's batches and, where there is a next page, one more; the newest first."""
        rows = await self._database.run(
            lambda connection: page_of(connection, "batches", COLUMNS, "owner = ?", [owner], page)
        )
        return [_batch(row) for row in rows]

    async def cancel(self, id: str, owner: str) -> Batch:
        """Ask for the end of a batch; one that is being cancelled stays so.

        Raises:
            ObjectNotFound: the key has no such batch.
            BadRequest: it has ended, or all of its lines have.
        """
        now = self.now()

        def mark(connection: sqlite3.Connection) -> Batch:
            batch = _find(connection, id, owner)
            if batch.status not in ("validating", "in_progress", "cancelling"):
                raise BadRequest(f"The batch is {batch.status}, so it cannot be cancelled.")
            if batch.status != "cancelling":
                query = "UPDATE batches SET status = 'cancelling', cancelling_at = ? WHERE number = ?"
                connection.execute(query, (now, batch.number))
            return _find(connection, id, owner)

        return await self._database.run(mark)

    # --- for the runner --------------------------------------------------------------------------------

    async def resume(self) -> None:
        """Let the lines wait again that earlier starts had leased. Called before any is claimed."""
        start = self._database.start
        query = "UPDATE lines SET state = 'waiting', lease = NULL WHERE state = 'leased' AND lease != ?"
        await self._database.run(lambda connection: connection.execute(query, (start,)))

    async def turn(
        self, ended: Iterable[Ended], choose: Callable[[Sequence[Batch]], Mapping[int, int]]
    ) -> tuple[Sequence[Batch], Sequence[Claimed]]:
        """Write ends of lines and claim new ones, in one transaction.

        Args:
            ended: lines that this start had claimed.
            choose: says of how many lines of which batch to claim, from all open batches as they are then.

        Returns:
            The open batches before the claims, and the claimed lines.
        """

        def work(connection: sqlite3.Connection) -> tuple[Sequence[Batch], Sequence[Claimed]]:
            for each in ended:
                self._end(connection, each)
            query = f"SELECT {COLUMNS} FROM batches WHERE status IN {OPEN} ORDER BY number"
            batches = [_batch(row) for row in connection.execute(query)]
            claims = choose(batches)
            return batches, [
                line for batch in batches for line in self._claim(connection, batch, claims.get(batch.number, 0))
            ]

        return await self._database.run(work)

    def _end(self, connection: sqlite3.Connection, each: Ended) -> None:
        place = (each.batch, each.line, self._database.start)
        where = "WHERE batch = ? AND line = ? AND state = 'leased' AND lease = ?"
        if each.result is None:
            connection.execute(f"UPDATE lines SET state = 'waiting', lease = NULL {where}", place)
            return
        state = "completed" if each.is_good else "failed"
        change = f"UPDATE lines SET state = ?, lease = NULL, body = NULL, result = ? {where}"
        if connection.execute(change, (state, each.result, *place)).rowcount:
            used = each.tokens
            connection.execute(
                f"UPDATE batches SET {state} = {state} + 1, input_tokens = input_tokens + ?,"
                " cached_tokens = cached_tokens + ?, output_tokens = output_tokens + ?,"
                " reasoning_tokens = reasoning_tokens + ? WHERE number = ?",
                (used.input, used.cached, used.output, used.reasoning, each.batch),
            )

    def _claim(self, connection: sqlite3.Connection, batch: Batch, count: int) -> list[Claimed]:
        query = "SELECT line, custom_id, body FROM lines WHERE batch = ? AND state = 'waiting' ORDER BY line LIMIT ?"
        found = connection.execute(query, (batch.number, count)).fetchall() if count else []
        lease = "UPDATE lines SET state = 'leased', lease = ? WHERE batch = ? AND line = ?"
        connection.executemany(lease, [(self._database.start, batch.number, line) for line, _, _ in found])
        return [
            Claimed(batch.number, line, custom_id, body, batch.endpoint, batch.owner) for line, custom_id, body in found
        ]

    async def begin_lines(self, batch: Batch) -> None:
        """Remove the lines that an interrupted validation has left."""
        query = "DELETE FROM lines WHERE batch = ?"
        await self._database.run(lambda connection: connection.execute(query, (batch.number,)))

    async def add_lines(self, batch: Batch, lines: Sequence[NewLine]) -> None:
        """Add lines to a batch that is being validated."""
        rows = [(batch.number, each.line, each.custom_id, each.body) for each in lines]
        query = "INSERT INTO lines (batch, line, custom_id, body) VALUES (?, ?, ?, ?)"
        await self._database.run(lambda connection: connection.executemany(query, rows))

    async def begin_work(self, batch: Batch, total: int, model: str | None) -> None:
        """Its lines are in order and all there. One that was cancelled meanwhile stays so."""
        query = (
            "UPDATE batches SET total = ?, model = ?, in_progress_at = ?,"
            " status = CASE status WHEN 'validating' THEN 'in_progress' ELSE status END WHERE number = ?"
        )
        values = (total, model, self.now(), batch.number)
        await self._database.run(lambda connection: connection.execute(query, values))

    async def fail(self, batch: Batch, errors: Sequence[Mapping[str, Any]]) -> None:
        """Its input is not in order; no line is worked on."""
        values = (json.dumps(list(errors)), self.now(), batch.number)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM lines WHERE batch = ?", (batch.number,))
            query = "UPDATE batches SET status = 'failed', errors = ?, failed_at = ? WHERE number = ?"
            connection.execute(query, values)

        await self._database.run(work)

    async def finalize(self, batch: Batch, ending: Ending) -> Batch:
        """No line is worked on from now on; the files of the results are next. A cancelled batch keeps its status."""
        status = "cancelling" if ending == "cancelled" else "finalizing"
        query = "UPDATE batches SET ending = ?, status = ?, finalizing_at = ? WHERE number = ? AND ending IS NULL"
        values = (ending, status, None if ending == "cancelled" else self.now(), batch.number)

        def work(connection: sqlite3.Connection) -> Batch:
            connection.execute(query, values)
            return _find(connection, batch.id, batch.owner)

        return await self._database.run(work)

    async def results(
        self, batch: Batch, after: int, most: int, *, good: bool
    ) -> Sequence[tuple[int, str, bytes | None]]:
        """Lines after this one: number, custom id, and result; None: it was not worked on.

        Args:
            batch: the batch.
            after: the line before the first.
            most: of how many lines.
            good: those of the output file; else all others.
        """
        which = "= 'completed'" if good else "!= 'completed'"
        query = (
            f"SELECT line, custom_id, result FROM lines WHERE batch = ? AND line > ? AND state {which}"
            " ORDER BY line LIMIT ?"
        )
        return await self._database.run(
            lambda connection: connection.execute(query, (batch.number, after, most)).fetchall()
        )

    async def close(self, batch: Batch) -> None:
        """Its files are written: it has ended, and its lines are needed no longer."""
        ending = batch.ending or "completed"
        query = f"UPDATE batches SET status = ?, {ending}_at = ? WHERE number = ?"
        values = (ending, self.now(), batch.number)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(query, values)
            connection.execute("DELETE FROM lines WHERE batch = ?", (batch.number,))

        await self._database.run(work)
        await self._database.run(lambda connection: connection.execute("PRAGMA incremental_vacuum").fetchall())


def _find(connection: sqlite3.Connection, id: str, owner: str) -> Batch:
    query = f"SELECT {COLUMNS} FROM batches WHERE id = ? AND owner = ?"
    row = connection.execute(query, (id, owner)).fetchone()
    if row is None:
        raise ObjectNotFound("batch", id)
    return _batch(row)
