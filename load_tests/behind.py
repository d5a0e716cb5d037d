"""Requests beside a batch: how much later their tokens come, and how many lines the free seats answer.

    python -m load_tests.behind [--model smollm2-135m-instruct]

One streamed chat at a time, with pauses, each with a prompt that no cache knows: blocks of them on an idle server and
blocks while a batch of many lines runs, turn about. Then the batch alone, beside as many clients in a closed loop.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from load_tests.client import Connection, post
from load_tests.machine import describe
from load_tests.served import server

WORDS = Path(__file__).with_name("texts.py").read_text("utf-8").split()
CLIENTS = 32


@dataclass
class Seen:
    """Times of requests, in seconds."""

    first_s: list[float] = field(default_factory=list)
    total_s: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        """For people."""
        first = sorted(self.first_s)
        p95 = first[int(0.95 * len(first))]
        return (
            f"{name:<28} first token {1000 * statistics.median(first):6.1f} ms at the median, {1000 * p95:6.1f} at p95;"
            f" whole {1000 * statistics.median(self.total_s):7.1f} ms; {len(first)} requests"
        )


def text(random_: random.Random, words: int) -> str:
    return " ".join(random_.choice(WORDS) for _ in range(words))


def body(random_: random.Random, asked: argparse.Namespace, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": text(random_, asked.words)}]
    made = {"model": asked.model, "messages": messages, "max_tokens": asked.tokens, "ignore_eos": True}
    return made | ({"stream": True} if stream else {})


async def interactive(port: int, asked: argparse.Namespace, random_: random.Random, count: int, seen: Seen) -> None:
    """Requests one after the other, with pauses of no fixed length."""
    connection = await Connection.to(port)
    for _ in range(count):
        await asyncio.sleep(random_.expovariate(10))
        answer = await connection.send(post("/v1/chat/completions", body(random_, asked, stream=True)))
        assert answer.status == 200, answer.body
        seen.first_s.append(answer.first_s)
        seen.total_s.append(answer.total_s)
    connection.close()


class Batches:
    """The server's batches."""

    def __init__(self, http: httpx.AsyncClient, asked: argparse.Namespace, random_: random.Random) -> None:
        self._http = http
        self._asked = asked
        self._random = random_

    async def begin(self, lines: int) -> str:
        """A batch that is at work."""
        made = b"".join(
            json.dumps(
                {
                    "custom_id": str(i),
                    "method": "POST",
                    "url": "/v1/chat/completions",
                    "body": body(self._random, self._asked, stream=False),
                }
            ).encode()
            + b"\n"
            for i in range(lines)
        )
        sent = await self._http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("lines.jsonl", made)})
        told = {"input_file_id": sent.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        id: str = (await self._http.post("/v1/batches", json=told)).json()["id"]
        while (await self.done(id)) < min(CLIENTS, lines):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        return id

    async def done(self, id: str) -> int:
        """Lines that are answered."""
        found = (await self._http.get(f"/v1/batches/{id}")).json()
        assert found["status"] not in ("failed", "expired"), found
        assert found["request_counts"]["failed"] == 0, found
        return int(found["request_counts"]["completed"])

    async def cancel(self, id: str) -> None:
        """End it, and wait until it has ended."""
        await self._http.post(f"/v1/batches/{id}/cancel")
        while (await self._http.get(f"/v1/batches/{id}")).json()["status"] == "cancelling":  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def rate(self, id: str, seconds: float) -> float:
        """Lines a second."""
        before, began_s = await self.done(id), time.perf_counter()
        await asyncio.sleep(seconds)
        return (await self.done(id) - before) / (time.perf_counter() - began_s)


async def closed_loop(port: int, asked: argparse.Namespace, random_: random.Random, seconds: float) -> float:
    """Requests a second of as many clients as a batch has seats."""
    count = 0
    end_s = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal count
        connection = await Connection.to(port)
        while time.perf_counter() < end_s:
            answer = await connection.send(post("/v1/chat/completions", body(random_, asked, stream=False)))
            assert answer.status == 200, answer.body
            count += 1
        connection.close()

    began_s = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return count / (time.perf_counter() - began_s)


async def measure(port: int, asked: argparse.Namespace) -> Iterator[str]:
    random_ = random.Random(1)
    idle, busy, lines = Seen(), Seen(), list[str]()
    beside: list[float] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
        batches = Batches(http, asked, random_)
        await interactive(port, asked, random_, 5, Seen())
        for _ in range(asked.turns):
            await interactive(port, asked, random_, asked.requests, idle)
            id = await batches.begin(asked.lines)
            before, began_s = await batches.done(id), time.perf_counter()
            await interactive(port, asked, random_, asked.requests, busy)
            beside.append((await batches.done(id) - before) / (time.perf_counter() - began_s))
            await batches.cancel(id)
        lines += [idle.line("idle server"), busy.line("while a batch runs")]
        ratio = statistics.median(busy.first_s) / statistics.median(idle.first_s)
        lines.append(f"first token while a batch runs / idle: {ratio:.2f} at the median")
        id = await batches.begin(asked.lines)
        alone = await batches.rate(id, asked.seconds)
        await batches.cancel(id)
        clients = await closed_loop(port, asked, random_, asked.seconds)
        lines.append(
            f"lines a second: {alone:.1f} alone, {statistics.median(beside):.1f} beside those requests; "
            f"{CLIENTS} clients in a closed loop: {clients:.1f} requests a second"
        )
    return iter(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--words", type=int, default=120, help="of a prompt")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer")
    parser.add_argument("--lines", type=int, default=5000)
    parser.add_argument("--requests", type=int, default=40, help="of a block")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each rate")
    asked = parser.parse_args()
    print(describe())
    with (
        tempfile.TemporaryDirectory(prefix="hearth-behind-") as folder,
        server([asked.model], "--data-dir", folder) as served,
    ):
        print("\n".join(asyncio.run(measure(served.port, asked))))


if __name__ == "__main__":
    main()
