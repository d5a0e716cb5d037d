"""Lists of a store's objects, page by page, and the ids that make such pages possible."""

import re
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.errors import InvalidValue

ID = re.compile(r"(?:file-|batch_|upload_|part_)[0-9a-f]{16}([0-9a-f]{8})")
"""An id ends in the number of its row, so a list goes on after an object that has been deleted meanwhile."""


def next_id(connection: sqlite3.Connection, table: str, prefix: str) -> str:
    """The id of the row that the same transaction inserts next into this table. It cannot be guessed."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return f"{prefix}{secrets.token_hex(8)}{(row[0] if row else 0) + 1:08x}"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: up to ``limit`` objects after the object ``after``."""

    limit: int
    after: str | None = None
    ascending: bool = False


def page_of(
    connection: sqlite3.Connection, table: str, columns: str, where: str, values: Sequence[object], page: Page
) -> list[Sequence[Any]]:
    """The rows of a page and, where there is a next page, one more. Rows are in the order of their making.

    Raises:
        InvalidValue: ``page.after`` is no id.
    """
    order = "ASC" if page.ascending else "DESC"
    if page.after is not None:
        found = ID.fullmatch(page.after)
        if found is None:
            raise InvalidValue(f"'after' is no id of an object: {page.after[:100]}.", "after")
        where, values = f"{where} AND number {'>' if page.ascending else '<'} ?", (*values, int(found[1], 16))
    query = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY number {order} LIMIT ?"
    return connection.execute(query, (*values, page.limit + 1)).fetchall()
