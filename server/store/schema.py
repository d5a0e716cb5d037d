"""The tables of the store, as the migrations that make them. The file's ``user_version`` is the number of those done.

A migration is never changed once it has been released: a new table or column is one more at the end. Times are Unix
seconds. An ``owner`` is the SHA-256 of an API key, empty on a server without keys.
"""

import sqlite3
from collections.abc import Sequence

from server.errors import Unavailable

MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE starts (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL);

    CREATE TABLE files (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        purpose TEXT NOT NULL,
        filename TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        state TEXT NOT NULL CHECK (state IN ('incoming', 'stored', 'deleted'))
    );
    CREATE INDEX files_of_owner ON files (owner, number);
    CREATE INDEX files_to_remove ON files (state) WHERE state != 'stored';
    CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

    CREATE TABLE uploads (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        purpose TEXT NOT NULL,
        filename TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        file_lives_s INTEGER,
        file_id TEXT,
        state TEXT NOT NULL CHECK (state IN ('pending', 'completed', 'cancelled', 'expired'))
    );
    CREATE INDEX uploads_of_owner ON uploads (owner) WHERE state = 'pending';
    CREATE TABLE parts (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        upload INTEGER NOT NULL REFERENCES uploads (number) ON DELETE CASCADE,
        bytes INTEGER NOT NULL,
        created_at INTEGER NOT NULL
    );
    CREATE INDEX parts_of_upload ON parts (upload);

    CREATE TABLE batches (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        input_file_id TEXT NOT NULL,
        metadata TEXT,
        output_lives_s INTEGER,
        status TEXT NOT NULL CHECK (status IN ('validating', 'failed', 'in_progress', 'finalizing', 'completed',
                                               'expired', 'cancelling', 'cancelled')),
        ending TEXT CHECK (ending IN ('completed', 'failed', 'expired', 'cancelled')),
        model TEXT,
        errors TEXT,
        output_file_id TEXT,
        error_file_id TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        in_progress_at INTEGER,
        finalizing_at INTEGER,
        completed_at INTEGER,
        failed_at INTEGER,
        expired_at INTEGER,
        cancelling_at INTEGER,
        cancelled_at INTEGER,
        total INTEGER NOT NULL DEFAULT 0,
        completed INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        cached_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        reasoning_tokens INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX batches_of_owner ON batches (owner, number);
    CREATE INDEX batches_open ON batches (number)
        WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');

    -- A line of a batch. `body` goes when `result` comes, in one transaction with the state and the batch's counts.
    CREATE TABLE lines (
        batch INTEGER NOT NULL REFERENCES batches (number) ON DELETE CASCADE,
        line INTEGER NOT NULL,
        custom_id TEXT NOT NULL,
        body BLOB,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'completed', 'failed')),
        lease INTEGER,
        result BLOB,
        UNIQUE (batch, line)
    );
    CREATE INDEX lines_waiting ON lines (batch, line) WHERE state = 'waiting';
    CREATE INDEX lines_leased ON lines (batch) WHERE state = 'leased';
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this server's version, each step in a transaction.

    Raises:
        Unavailable: a later server has written them.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Unavailable(
            "A later version of the server wrote its data folder, so files and batches are not served.", 60
        )
    for number in range(version, len(MIGRATIONS)):
        script = f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
