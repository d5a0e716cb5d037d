"""Whether memory grows over many requests of every kind.

    python -m load_tests.memory --requests 10000

Whole and streamed answers, lists, errors, and clients that leave in the middle, against a server of all
models; resident memory of the HTTP process and of each engine on the way. What counts is the slope over the
second half: the first fills caches.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from load_tests.client import Connection, Disconnected, get, post
from load_tests.served import Served, resident_bytes, server
from load_tests.texts import chats, sentences
from server.settings import SHIPPED_MODELS

MB = 1 << 20
CLIENTS = 16
SAMPLES = 40


@dataclass(frozen=True, slots=True)
class Process:
    """One process's memory, a sample every so many requests."""

    name: str
    resident_mb: Sequence[float]

    @property
    def slope_mb(self) -> float:
        """Growth over the second half, by the line of least squares."""
        half = self.resident_mb[len(self.resident_mb) // 2 :]
        slope, _ = statistics.linear_regression(range(len(half)), half)
        return slope * (len(half) - 1)

    def line(self) -> str:
        """A row of the table."""
        first, last = self.resident_mb[0], self.resident_mb[-1]
        middle = self.resident_mb[len(self.resident_mb) // 2]
        return f"| {self.name} | {first:.0f} | {middle:.0f} | {last:.0f} | {self.slope_mb:+.1f} |"


HEADER = "| process | at first, MB | half way | at last | slope over the second half, MB |\n|---|---|---|---|---|"


def traffic(seed: int = 1) -> Iterator[tuple[bytes, bool]]:
    """Requests of every kind without end, and whether the client leaves before the answer."""
    draw = random.Random(seed)
    texts, talks = sentences(200), chats(64)
    while True:
        leaves = draw.random() < 0.05
        text, some = draw.choice(texts), draw.sample(texts, draw.randint(2, 8))
        chat = {"model": "assistant", "messages": draw.choice(talks), "max_tokens": draw.randint(1, 24)}
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        yield (
            draw.choice(
                (
                    post("/v1/sentiment", {"model": "sentiment", "input": text}),
                    post("/v1/sentiment", {"model": "sentiment", "input": some}),
                    post("/v1/translations", {"model": "translate", "input": text, "source": "en", "target": "de"}),
                    post("/v1/translations", {"model": "translate", "input": text, "source": "en", "target": "fr"}),
                    post("/v1/chat/completions", chat),
                    post("/v1/chat/completions", {**chat, **stream}),
                    post("/v1/chat/completions", {**chat, "temperature": 0.7, "seed": 3, "stop": ["."], "n": 2}),
                    post("/v1/embeddings", {"model": "embed", "input": some}),
                    post("/v1/sentiment", {"model": "sentiment", "input": ""}),
                    post("/v1/chat/completions", {**chat, "temprature": 1}),
                    post("/v1/sentiment", {"model": "nobody", "input": text}),
                    post(f"/v1/nothing/{draw.random()}", {}),
                    get("/metrics"),
                    get("/v1/models"),
                )
            ),
            leaves,
        )


async def drive(served: Served, requests: int) -> tuple[list[Process], dict[int, int]]:
    """Send the requests; memory samples and how the answers were."""
    source = itertools.islice(traffic(), requests)
    names = {served.pid: "HTTP", **served.engine_names}
    samples: dict[int, list[float]] = {pid: [] for pid in names}
    statuses: dict[int, int] = {}
    count = itertools.count(1)

    async def client() -> None:
        connection = await Connection.to(served.port)
        for request, leaves in source:
            if leaves:
                with contextlib.suppress(TimeoutError, Disconnected):
                    await asyncio.wait_for(connection.send(request), 0.01)
                connection.close()
                connection = await Connection.to(served.port)
            else:
                answer = await connection.send(request)
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
            if next(count) % max(1, requests // SAMPLES) == 0:
                for pid, found in samples.items():
                    found.append(resident_bytes(pid) / MB)
        connection.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return [Process(names[pid], found) for pid, found in samples.items()], statuses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--requests", type=int, default=10_000)
    asked = parser.parse_args()
    with server((), "--models-dir", str(asked.models_dir)) as served:
        processes, statuses = asyncio.run(drive(served, asked.requests))
    print(f"{asked.requests} requests; answers by status: {dict(sorted(statuses.items()))}\n\n{HEADER}")
    for process in processes:
        print(process.line())


if __name__ == "__main__":
    main()
