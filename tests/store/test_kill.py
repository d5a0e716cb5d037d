"""kill -9 at any moment: the next start goes on, every line is answered once, and nothing is left behind."""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

from load_tests.durability import run
from server.store.store import Store
from tests.store.conftest import on_disk

ROOT = Path(__file__).parents[2]
LINES = 200
WORKER = """
import asyncio, json, sys
from pathlib import Path
from server.jobs.runner import Answer, Limits, Runner
from server.store.pages import Page
from server.store.store import Store

class Told:
    def line(self, endpoint, outcome): print("line", flush=True)
    def batch(self, endpoint, ending): print(ending, flush=True)

async def ask(endpoint, body, owner):
    await asyncio.sleep(0)
    return Answer(200, "r", body)

async def work():
    store = Store(Path(sys.argv[1]))
    assert await store.open(), store.database.problem
    if (await store.batches.page("", Page(1)))[0].status == "completed":
        print("completed", flush=True)  # the life before was killed before it could say so
        return
    await Runner(store, ask, json.loads, Limits(100_000, 1_000, 8), Told()).run()

asyncio.run(work())
"""


async def begin(folder: Path) -> tuple[str, str]:
    """A batch with many lines. Its id and its input's."""
    store = Store(folder)
    assert await store.open()
    async with store.files.receive(10_000_000) as incoming:
        for i in range(LINES):
            line = {"custom_id": str(i), "method": "POST", "url": "/x", "body": {"i": i}}
            await incoming.write(json.dumps(line).encode() + b"\n")
        file = await store.files.add(incoming, "", "batch", "in", None)
    batch = await store.batches.create("", "/x", file.id, None, None)
    await store.close()
    return batch.id, file.id


async def check(folder: Path, batch_id: str, input_id: str) -> None:
    store = Store(folder)
    assert await store.open()
    batch = await store.batches.find(batch_id, "")
    assert (batch.status, batch.total, batch.completed, batch.failed) == ("completed", LINES, LINES, 0)
    _, path = await store.files.content(batch.output_file_id or "", "")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["custom_id"] for line in lines] == [str(i) for i in range(LINES)]
    assert all(line["response"]["body"] == {"i": i} for i, line in enumerate(lines))
    assert on_disk(folder) == {batch.output_file_id, input_id}
    rows = await store.database.run(lambda connection: connection.execute("SELECT count(*) FROM lines").fetchone())
    assert rows == (0,)
    await store.close()


def test_a_runner_that_is_killed_again_and_again_answers_each_line_once(tmp_path: Path) -> None:
    """It is killed after some lines of a life; the later moments lie in the writing of the files."""
    batch_id, input_id = asyncio.run(begin(tmp_path))
    random_ = random.Random(1)
    said, lives = "", 0
    while said != "completed\n":
        command = [sys.executable, "-c", WORKER, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            for _ in range(random_.randint(1, LINES // 2)):
                if (said := worker.stdout.readline()) == "completed\n":
                    break
            worker.kill()
        lives += 1
    assert lives > 2
    asyncio.run(check(tmp_path, batch_id, input_id))


def test_a_real_server_and_its_engine_are_killed_while_batches_run(tmp_path: Path) -> None:
    """The small form of `python -m load_tests.durability`."""
    tally = run(tmp_path, lines=200, kills=2, random_=random.Random(1), longest_life_s=1.0)
    assert not tally.faults
    assert (tally.server_kills, tally.engine_kills) == (1, 1)
    assert tally.answered + tally.failed == 200
