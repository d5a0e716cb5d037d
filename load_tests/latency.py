"""Measures the time that the server adds to one short request on an idle machine.

    python -m load_tests.latency

One sentiment request at a time over a kept-alive connection, and the bare engine on the same row, turn
about; the difference of the medians is what HTTP, tokens, line, pipe and head cost together.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from load_tests import bare
from load_tests.client import Connection, post
from load_tests.served import server
from models.registry import find_models
from models.tokenizers import load_tokenizer
from server.settings import SHIPPED_MODELS

TEXT = "I love this little lamp."


@dataclass(frozen=True, slots=True)
class Added:
    """Medians of many requests, in milliseconds."""

    through_http_ms: float
    engine_ms: float
    requests: int
    stages_ms: dict[str, float]
    """The times in the server's own headers."""

    @property
    def added_ms(self) -> float:
        """The difference."""
        return self.through_http_ms - self.engine_ms

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"through HTTP {self.through_http_ms:.2f} ms, engine alone {self.engine_ms:.2f} ms"
        yield f"added: {self.added_ms:.2f} ms at the median of {self.requests}"
        yield "as the server sees it: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in self.stages_ms.items())


def measure(models_dir: Path, requests: int) -> Added:
    """Start a server, take turns, and stop it."""
    card = next(card for card in find_models(models_dir) if card.id == "sentiment")
    row = load_tokenizer(card).encode_row(TEXT)
    engine = bare.BareEncoder(card, bare.Setting(replicas=1, threads=1, batch_rows=1))
    with server(["sentiment"], "--models-dir", str(models_dir)) as served:
        return asyncio.run(_turns(served.port, engine, row, requests))


async def _turns(port: int, engine: bare.BareEncoder, row: list[int], requests: int) -> Added:
    connection = await Connection.to(port)
    request = post("/v1/sentiment", {"model": "sentiment", "input": TEXT})
    http_s, engine_s, stages = [], [], dict[str, list[float]]()
    for turn in range(requests + requests // 10):
        answer = await connection.send(request)
        assert answer.status == 200, answer.body
        began_s = time.perf_counter()
        engine.run([row])
        spent_s = time.perf_counter() - began_s
        if turn < requests // 10:  # warming up
            continue
        http_s.append(answer.total_s)
        engine_s.append(spent_s)
        for line in answer.head.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            if name.startswith(b"x-") and name.endswith(b"-time"):
                stages.setdefault(name[2:-5].decode(), []).append(float(value))
    connection.close()
    medians = {name: statistics.median(values) for name, values in stages.items()}
    return Added(1000 * statistics.median(http_s), 1000 * statistics.median(engine_s), len(http_s), medians)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--requests", type=int, default=500)
    asked = parser.parse_args()
    print("\n".join(measure(asked.models_dir, asked.requests).lines()))


if __name__ == "__main__":
    main()
