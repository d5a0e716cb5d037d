"""Kills a server and its engines at random while batches run, and counts what comes out.

    python -m load_tests.durability [--lines 20000] [--kills 200]

Every line must be answered once, whatever was killed when; the answers must be those that an undisturbed server gives;
the files must be whole, and neither files nor processes may be left. A line whose engine is killed twice at work is
answered with an error (`engine_failed`), as its request would be.
"""

import argparse
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from load_tests.machine import describe
from load_tests.served import Served

START_LIMIT_S = 120.0
ENGINE_KILLS = 2
"""The most kills of engines in one life of the server: a model whose engine dies more often in a row is given up."""
SENTENCES = ("I love number {}.", "I hate number {}, it was terrible.")
LABELS = ("positive", "negative")


@dataclass
class Tally:
    """The events and the faults of a run."""

    server_kills: int = 0
    engine_kills: int = 0
    answered: int = 0
    failed: int = 0
    faults: list[str] = field(default_factory=list)

    def check(self, holds: object, fault: str) -> None:
        """Note a fault."""
        if not holds:
            self.faults.append(fault)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"killed: the server {self.server_kills} times, an engine {self.engine_kills} times"
        yield f"lines: {self.answered} answered, {self.failed} with an error because their engine was killed twice"
        yield from (f"FAULT: {fault}" for fault in self.faults)
        yield "every line once, files whole, nothing left" if not self.faults else f"{len(self.faults)} faults"


class Life:
    """One server after the other on the same folder and port."""

    def __init__(self, folder: Path, models: str) -> None:
        self._folder = folder
        self._models = models
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a server, and wait until it answers: models may load later."""
        command = [sys.executable, "-m", "server", "serve", "--port", str(self.port), "--log-level", "error"]
        command += ["--models", self._models, "--data-dir", str(self._folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < end_s:
            with suppress(httpx.HTTPError):
                if self.http.get("/v1/files", params={"limit": 1}).status_code == 200:
                    return
            assert self.process.poll() is None, "the server ended by itself"
            time.sleep(0.02)
        raise RuntimeError("the server did not get ready")

    def engines(self) -> list[int]:
        """The processes of its engines."""
        assert self.process is not None
        with suppress(FileNotFoundError, ProcessLookupError):
            return Served(self.port, self.process.pid).engines
        return []

    def kill(self, tally: Tally) -> None:
        """Kill the server. Its engines must end with it."""
        assert self.process is not None
        engines = self.engines()
        self.process.kill()
        self.process.wait()
        end_s = time.monotonic() + 30
        while (left := [pid for pid in engines if _lives(pid)]) and time.monotonic() < end_s:
            time.sleep(0.01)
        tally.check(not left, f"engines {left} outlived their server")
        tally.server_kills += 1

    def kill_engine(self, random_: random.Random, tally: Tally) -> None:
        """Kill one engine, as soon as there is one."""
        end_s = time.monotonic() + START_LIMIT_S
        while not (engines := self.engines()) and time.monotonic() < end_s:
            time.sleep(0.01)
        with suppress(ProcessLookupError):
            os.kill(random_.choice(engines), signal.SIGKILL)
            tally.engine_kills += 1

    def end(self) -> None:
        """Stop the server as an operator would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def _lines(count: int) -> bytes:
    made = (
        {"custom_id": str(i), "method": "POST", "url": "/v1/sentiment", "body": {"input": SENTENCES[i % 2].format(i)}}
        for i in range(count)
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in made)


@contextmanager
def _living(folder: Path, models: str) -> Iterator[Life]:
    life = Life(folder, models)
    try:
        life.start()
        yield life
    finally:
        if life.process is not None and life.process.poll() is None:
            life.process.kill()
            life.process.wait()
        life.http.close()


def run(folder: Path, lines: int, kills: int, random_: random.Random, longest_life_s: float = 3.0) -> Tally:
    """Run two batches of so many lines together, with so many kills while they run."""
    tally = Tally()
    with _living(folder, "sentiment") as life:
        ids = []
        for count in (lines // 2, lines - lines // 2):
            sent = life.http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", _lines(count))})
            told = {"input_file_id": sent.json()["id"], "endpoint": "/v1/sentiment", "completion_window": "24h"}
            ids.append((life.http.post("/v1/batches", json=told).json()["id"], count))
        engine_kills = 0
        for _ in range(kills):
            time.sleep(random_.uniform(0, longest_life_s))
            if random_.random() < 0.3 and engine_kills < ENGINE_KILLS:
                life.kill_engine(random_, tally)
                engine_kills += 1
            else:
                life.kill(tally)
                life.start()
                engine_kills = 0
        for id, count in ids:
            _check_batch(life, _ended(life, id), count, tally)
        listed = {file["id"] for file in life.http.get("/v1/files").json()["data"]}
        life.end()
        tally.check(life.process is not None and life.process.returncode == 0, "the server did not end well")
    _check_folder(folder, listed, tally)
    return tally


def _ended(life: Life, id: str) -> dict[str, Any]:
    while True:
        batch: dict[str, Any] = life.http.get(f"/v1/batches/{id}").json()
        if batch["status"] in ("completed", "failed", "expired", "cancelled"):
            return batch
        time.sleep(0.2)


def _check_batch(life: Life, batch: dict[str, Any], count: int, tally: Tally) -> None:
    tally.check(batch["status"] == "completed", f"a batch is {batch['status']}: {batch['errors']}")
    seen: dict[int, int] = {}
    for name in ("output_file_id", "error_file_id"):
        if batch[name] is None:
            continue
        content = life.http.get(f"/v1/files/{batch[name]}/content").content
        told = life.http.get(f"/v1/files/{batch[name]}").json()
        tally.check(told["bytes"] == len(content) and content.endswith(b"\n"), f"{name} is not whole")
        for raw in content.splitlines():
            line = json.loads(raw)
            i = int(line["custom_id"])
            seen[i] = seen.get(i, 0) + 1
            body = line["response"]["body"]
            if name == "output_file_id":
                tally.answered += 1
                tally.check(body["data"][0]["label"] == LABELS[i % 2], f"line {i} has another line's answer")
            else:
                tally.failed += 1
                tally.check(body["error"]["code"] == "engine_failed", f"line {i} failed: {body}")
    tally.check(set(seen) == set(range(count)), f"{count - len(seen)} lines are lost")
    tally.check(max(seen.values(), default=0) == 1, "a line was answered twice")
    counts = batch["request_counts"]
    tally.check(counts["completed"] + counts["failed"] == counts["total"] == count, f"the counts are {counts}")


def _check_folder(folder: Path, listed: set[str], tally: Tally) -> None:
    contents = {file.name for file in (folder / "files").iterdir()}
    tally.check(contents == listed, f"contents and files differ: {contents ^ listed}")
    left = [file.name for name in ("incoming", "parts") for file in (folder / name).iterdir()]
    tally.check(not left, f"left: {left}")
    tally.check({file.name for file in folder.iterdir()} <= {"hearth.db", "files", "incoming", "parts"}, "other files")
    with sqlite3.connect(folder / "hearth.db") as database:
        tally.check(database.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the database is damaged")
        tally.check(database.execute("SELECT count(*) FROM lines").fetchone() == (0,), "lines are left")
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--life", type=float, default=3.0, help="the longest time between two kills, in seconds")
    asked = parser.parse_args()
    print(describe())
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hearth-durability-") as folder:
        tally = run(Path(folder), asked.lines, asked.kills, random.Random(asked.seed), asked.life)
    print("\n".join(tally.lines()))
    print(f"{time.monotonic() - began_s:.0f} s")
    sys.exit(bool(tally.faults))


if __name__ == "__main__":
    main()
