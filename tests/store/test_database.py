"""A store keeps what it was given, and says clearly when it cannot."""

import asyncio
import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import ServerError, TooLarge, Unavailable
from server.store.database import DAMAGED, GONE, IN_USE
from server.store.errors import ObjectNotFound, QuotaUsedUp, StorageFull
from server.store.pages import Page
from server.store.schema import MIGRATIONS
from server.store.store import Store
from tests.store.conftest import Clock, Opening, on_disk, put

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


async def test_what_was_kept_is_there_after_the_next_start(opened: Opening) -> None:
    async with opened() as store:
        file = await put(store)
    async with opened() as store:
        assert await store.files.find(file.id, "anna") == file
        _, path = await store.files.content(file.id, "anna")
        assert path.read_bytes() == b"hello"


async def test_a_key_sees_its_own_things_only(opened: Opening) -> None:
    async with opened() as store:
        file = await put(store)
        for attempt in (store.files.find, store.files.delete, store.files.content):
            with pytest.raises(ObjectNotFound):
                await attempt(file.id, "ben")
        assert await store.files.page("ben", Page(10)) == []
        assert await store.files.page("anna", Page(10)) == [file]


@pytest.mark.parametrize("step", ["announced", "renamed", "deleted"])
async def test_what_a_killed_server_had_begun_is_gone_at_the_next_start(
    opened: Opening, tmp_path: Path, step: str
) -> None:
    async with opened() as store:
        file = await put(store)
        state = "deleted" if step == "deleted" else "incoming"
        await store.database.run(lambda connection: connection.execute("UPDATE files SET state = ?", (state,)))
        if step == "announced":
            (tmp_path / "files" / file.id).rename(tmp_path / "incoming" / "half")
        (tmp_path / "parts" / "part_of_nothing").write_bytes(b"x")
    async with opened() as store:
        assert await store.files.page("anna", Page(10)) == []
        assert on_disk(tmp_path) == set()


async def test_a_full_disk_is_said_and_leaves_nothing(opened: Opening, tmp_path: Path) -> None:
    async with opened() as store:
        await put(store, b"before")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = on_disk(tmp_path)
        # What the system says beyond this size (EFBIG) is what it says of a full disk, to a process of one file.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(StorageFull):
                await put(store, b"x" * 5000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert on_disk(tmp_path) == before
        await put(store, b"x" * 5000)


async def fill(store: Store) -> None:
    while True:
        await put(store, filename="n" * 5000)


async def test_a_full_database_refuses_whole_changes_and_goes_on(opened: Opening) -> None:
    async with opened(most_pages=30) as store:
        with pytest.raises(StorageFull):
            await fill(store)
        kept = await store.files.page("anna", Page(1000))
        assert kept
        for file in kept:
            await store.files.delete(file.id, "anna")
        await put(store, filename="n" * 5000)


async def test_a_damaged_database_is_left_as_it_is_and_said(
    opened: Opening, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened() as store:
        file = await put(store)
    database = tmp_path / "hearth.db"
    damaged = b"\0" * 4096 + database.read_bytes()[4096:]
    database.write_bytes(damaged)
    store = Store(tmp_path)
    with caplog.at_level(logging.ERROR):
        assert not await store.open()
    assert isinstance(store.database.problem, Unavailable)
    assert store.database.problem.reason == DAMAGED
    assert "Restore it from a copy, or move it away" in caplog.text
    assert store.database.is_final
    with pytest.raises(Unavailable, match="damaged"):
        await store.files.find(file.id, "anna")
    assert database.read_bytes() == damaged
    database.rename(tmp_path / "damaged.db")
    assert await store.open()
    assert on_disk(tmp_path) == {file.id}, "a new database must not cost what the old one knew"
    await store.close()


async def test_damage_within_a_table_is_noticed_at_the_start(opened: Opening, tmp_path: Path) -> None:
    async with opened() as store:
        for _ in range(50):
            await put(store, filename="n" * 1000)
    with (tmp_path / "hearth.db").open("r+b") as database:
        database.seek(-3 * 4096, os.SEEK_END)
        database.write(b"\xff" * 4096)
    store = Store(tmp_path)
    assert not await store.open()
    assert store.database.problem is not None
    assert store.database.problem.message.startswith(DAMAGED)
    await store.close()


async def test_a_second_server_on_a_folder_is_told_and_takes_over_when_the_first_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib, sys; from server.store.store import Store\n"
        "async def hold():\n"
        "    assert await Store(pathlib.Path(sys.argv[1])).open()\n"
        "    print('open', flush=True); await asyncio.Event().wait()\n"
        "asyncio.run(hold())"
    )
    with subprocess.Popen(  # noqa: ASYNC220  nothing else runs on this loop
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        second = Store(tmp_path)
        assert not await second.open()
        assert second.database.problem is not None
        assert second.database.problem.message.startswith(IN_USE)
        assert not second.database.is_final
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert await second.open()
    await put(second)
    await second.close()


async def test_a_database_whose_file_is_taken_away_takes_no_more(opened: Opening, tmp_path: Path) -> None:
    async with opened() as store:
        await put(store)
        (tmp_path / "hearth.db").unlink()
        with pytest.raises(Unavailable, match=GONE.split(",")[0]):
            await put(store)


async def test_a_content_that_is_taken_away_is_said(opened: Opening, tmp_path: Path) -> None:
    async with opened() as store:
        file = await put(store)
        (tmp_path / "files" / file.id).unlink()
        assert (await store.files.find(file.id, "anna")).is_lost
        with pytest.raises(ObjectNotFound, match="content"):
            await store.files.content(file.id, "anna")
        await store.files.delete(file.id, "anna")
        with pytest.raises(ObjectNotFound):
            await store.files.find(file.id, "anna")


async def test_a_later_servers_database_is_not_touched(opened: Opening, tmp_path: Path) -> None:
    async with opened() as store:
        await store.database.run(lambda connection: None)
    with sqlite3.connect(tmp_path / "hearth.db") as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    store = Store(tmp_path)
    assert not await store.open()
    assert "later version" in str(store.database.problem)
    assert store.database.is_final
    await store.close()


async def test_a_migration_that_fails_leaves_the_tables_as_they_were(
    opened: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as store:
        file = await put(store)
    with monkeypatch.context() as patched:
        broken = (*MIGRATIONS, "CREATE TABLE more (a); INSERT INTO nowhere VALUES (1)")
        patched.setattr("server.store.schema.MIGRATIONS", broken)
        store = Store(tmp_path)
        assert not await store.open()
        await store.close()
    async with opened() as store:
        assert await store.files.find(file.id, "anna") == file
        tables = await store.database.run(
            lambda connection: connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall()
        )
        assert tables == []


async def test_quotas_hold_for_files_and_for_bytes_with_those_of_pending_uploads(opened: Opening) -> None:
    async with opened(files=3, bytes=100, file_bytes=60) as store:
        await put(store, b"x" * 40)
        assert await store.files.room("anna") == 60
        upload = await store.uploads.create("anna", "batch", "b", 50, None)
        async with store.files.receive(60) as part:
            await part.write(b"x" * 50)
            await store.uploads.add_part(upload.id, "anna", part)
        assert await store.files.room("anna") == 10
        assert await store.files.room("ben") == 60
        with pytest.raises(QuotaUsedUp, match="100 bytes"):
            await put(store, b"x" * 11)
        await put(store, b"x")
        await put(store, b"x")
        with pytest.raises(QuotaUsedUp, match="3 files"):
            await store.files.room("anna")
        async with store.files.receive(60) as incoming:
            with pytest.raises(TooLarge):
                await incoming.write(b"x" * 61)


async def test_files_expire_and_pages_go_on_after_what_was_deleted(opened: Opening, clock: Clock) -> None:
    async with opened() as store:
        files = [await put(store, lives_s=100 if i == 1 else None) for i in range(4)]
        clock.passes(100)
        await store.tick()
        listed = [file.id for file in await store.files.page("anna", Page(10, ascending=True))]
        assert listed == [files[i].id for i in (0, 2, 3)]
        page = await store.files.page("anna", Page(1))
        assert [file.id for file in page] == [files[3].id, files[2].id], "one more says that there is a next page"
        await store.files.delete(files[3].id, "anna")
        page = await store.files.page("anna", Page(5, files[3].id))
        assert [file.id for file in page] == [files[2].id, files[0].id]


async def test_a_clock_that_is_set_forward_expires_nothing_and_one_set_back_loses_nothing(
    opened: Opening, clock: Clock
) -> None:
    async with opened() as store:
        file = await put(store, lives_s=1000)
        began = store.now()
        clock.wall_s += 10_000_000
        assert store.now() == began, "until it is noticed"
        await store.tick()
        clock.passes(999)
        await store.tick()
        assert (await store.files.find(file.id, "anna")).expires_at == 1000 + began + 10_000_000
        clock.wall_s -= 20_000_000
        await store.tick()
        other = await put(store, lives_s=1000)
        assert [each.id for each in await store.files.page("anna", Page(2))] == [other.id, file.id]
        clock.passes(1000)
        await store.tick()
        assert [each.id for each in await store.files.page("anna", Page(2))] == [file.id]


async def test_a_client_that_leaves_while_its_file_gets_its_name_leaves_a_whole_file_or_none(
    opened: Opening, tmp_path: Path
) -> None:
    async with opened() as store:
        for turns in range(12):
            async with store.files.receive(100) as incoming:
                await incoming.write(b"hello")
                adding = asyncio.ensure_future(store.files.add(incoming, "anna", "batch", "a", None))
                for _ in range(turns):
                    await asyncio.sleep(0)
                adding.cancel()
                await asyncio.wait([adding])
        await store.database.run(lambda connection: None)
    async with opened() as store:
        listed = await store.files.page("anna", Page(100))
        assert {file.id for file in listed} == on_disk(tmp_path)
        assert not any(file.is_lost for file in listed)


async def test_a_closed_store_refuses(opened: Opening) -> None:
    async with opened() as store:
        pass
    with pytest.raises(ServerError, match="shutting down"):
        await put(store)


async def test_no_cursor_leaves_the_databases_thread_open(opened: Opening) -> None:
    """The end of one in another thread resets its statement, which this thread may be running: API misuse."""
    async with opened() as store:
        cursor = await store.database.run(lambda connection: connection.execute("SELECT 1"))
        with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
            cursor.fetchone()
