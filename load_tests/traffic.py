"""Traffic as data: a scenario says who asks what and how often; requests come at random times, answered or not.

    python -m load_tests.traffic load_tests/scenarios/mixed.toml

An open loop: a slow server does not slow its clients down, so waiting shows.
"""

import argparse
import asyncio
import random
import statistics
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from load_tests.client import Tally, open_loop
from load_tests.rows import rows_for
from load_tests.served import server
from models.registry import ModelCard, find_models
from server.settings import SHIPPED_MODELS


@dataclass(frozen=True, slots=True)
class Traffic:
    """One kind of client. Fields are the scenario's keys."""

    name: str
    rate_per_s: float
    model: str
    list_size: int = 0
    """The number of texts in a request; 0 means one text that is not in a list."""
    max_tokens: int = 64
    stream: bool = False

    def requests(self, card: ModelCard, seconds: float) -> Iterator[tuple[float, bytes, float]]:
        """Times, requests and worths for so long."""
        draw = random.Random(self.name)
        rows = rows_for(card, max(192, self.list_size), self.max_tokens, stream=self.stream)
        at_s = 0.0
        for request, units in rows.requests(self.list_size):
            at_s += draw.expovariate(self.rate_per_s)
            if at_s > seconds:
                return
            yield at_s, request, units


HEADER = "| | requests | answered 200 | latency p50, ms | p95, ms | first byte p50, ms |\n|---|---|---|---|---|---|"


def line(name: str, tally: Tally) -> str:
    """A row of the table."""
    latencies = sorted(1000 * s for s in tally.latencies_s) or [0.0]
    first = statistics.median(1000 * s for s in tally.first_s) if tally.first_s else 0.0
    p95 = latencies[int(0.95 * (len(latencies) - 1))]
    good = tally.statuses.get(200, 0)
    return f"| {name} | {tally.answers} | {good} | {statistics.median(latencies):.0f} | {p95:.0f} | {first:.0f} |"


def run(port: int, file: Path, cards: Mapping[str, ModelCard]) -> list[str]:
    """Run a scenario; rows of the table."""
    scenario = tomllib.loads(file.read_text("utf-8"))
    kinds = [Traffic(**values) for values in scenario["traffic"]]
    requests = [list(kind.requests(cards[kind.model], scenario["seconds"])) for kind in kinds]
    tallies = asyncio.run(_all(port, requests))
    return [line(f"{file.stem}: {kind.name}", tally) for kind, tally in zip(kinds, tallies, strict=True)]


async def _all(port: int, requests: Sequence[Sequence[tuple[float, bytes, float]]]) -> list[Tally]:
    return await asyncio.gather(*(open_loop(port, each) for each in requests))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="+", type=Path)
    parser.add_argument("--models-dir", type=Path, default=SHIPPED_MODELS)
    asked = parser.parse_args()
    cards = {card.id: card for card in find_models(asked.models_dir)}
    print(HEADER)
    with server((), "--models-dir", str(asked.models_dir)) as served:
        for file in asked.scenarios:
            print("\n".join(run(served.port, file, cards)), flush=True)


if __name__ == "__main__":
    main()
