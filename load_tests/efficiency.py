"""How much of the bare library's throughput is left through HTTP.

    python -m load_tests.efficiency --model sentiment

32 clients in a closed loop against a server of one model, and CTranslate2 alone on the same rows in its best
static batching with the same cores (``load_tests.bare``), turn about in one run; the result is the ratio of
medians. Two ratios: by the clock, which is what counts on an idle machine, and by processor time of
everything involved, client included, which a busy machine disturbs less.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from load_tests import bare
from load_tests.client import closed_loop
from load_tests.rows import Rows, rows_for
from load_tests.served import Served, server
from models.registry import ModelCard, find_models
from server.batching.cores import usable_cores
from server.settings import SHIPPED_MODELS

CLIENTS = 32
TURNS = 3
"""The number of lists that each client sends in a round."""
SIZES = (4, 8, 16)
"""Batch sizes to try: none of the shipped models was at its best beyond them (``load_tests.bare`` tries more)."""


@dataclass(slots=True)
class Side:
    """One way to do the work, over the rounds."""

    name: str
    units_per_s: list[float] = field(default_factory=list)
    units_per_cpu_s: list[float] = field(default_factory=list)
    http_ms: list[float] = field(default_factory=list)
    """Processor time of the HTTP process a request."""
    engine_ms: list[float] = field(default_factory=list)
    """Processor time of the engine process a unit."""
    client_ms: list[float] = field(default_factory=list)
    """Processor time of this process a request."""

    def line(self, name: str, base: "Side") -> str:
        """A row of the table."""
        ratio = statistics.median(self.units_per_s) / statistics.median(base.units_per_s)
        cpu_ratio = statistics.median(self.units_per_cpu_s) / statistics.median(base.units_per_cpu_s)
        rates = f"{statistics.median(self.units_per_s):,.0f} | {statistics.median(self.units_per_cpu_s):,.0f}"
        if self is base:
            return f"| {name}: {self.name} | {rates} | | | | | {1000 / statistics.median(base.units_per_cpu_s):.2f} |"
        spent = " | ".join(f"{statistics.median(ms):.2f}" for ms in (self.client_ms, self.http_ms, self.engine_ms))
        return f"| {name}: {self.name} | {rates} | {ratio:.2f} | {cpu_ratio:.2f} | {spent} |"


HEADER = """\
| | units/s | units/cpu-s | ratio, clock | ratio, cpu | client, ms/request | HTTP, ms/request | engine, ms/unit |
|---|---|---|---|---|---|---|---|"""


def measure(card: ModelCard, *, rounds: int, round_s: float, cores: int, lists: Sequence[int]) -> Iterator[str]:
    """Sweep the bare library, then run server and library turn about; lines of the table."""
    rows = rows_for(card, 64 if card.task == "generation" else 192)
    setting = bare.sweep(card, rows, cores, rounds=2, sizes=SIZES)[0][0]
    base = Side(f"CTranslate2 alone, {setting}")
    sides = {size: Side(f"{CLIENTS} clients, {size or 1} a request") for size in lists}
    loaded = bare.load(card, rows, setting)
    bare.run(loaded, rows.rows, setting)
    with server([card.id], "--cores", str(cores)) as served:
        for _ in range(rounds):
            _base_round(base, loaded, rows, setting, round_s)
            for size, side in sides.items():
                _http_round(side, served, rows, size, round_s)
    for side in (base, *sides.values()):
        yield side.line(card.id, base)


def _base_round(side: Side, loaded: bare.Bare, rows: Rows, setting: bare.Setting, round_s: float) -> None:
    wall_s = cpu_s = units = 0.0
    while wall_s < round_s:
        spent = bare.run(loaded, rows.rows, setting)
        wall_s, cpu_s, units = wall_s + spent.wall_s, cpu_s + spent.cpu_s, units + rows.units
    side.units_per_s.append(units / wall_s)
    side.units_per_cpu_s.append(units / cpu_s)


def _http_round(side: Side, served: Served, rows: Rows, size: int, round_s: float) -> None:
    requests = rows.requests(size)
    clocks: list[tuple[float, float, float]] = []

    def mark() -> None:
        http_s, *engines_s = served.cpu_s.values()
        clocks.append((time.process_time(), http_s, sum(engines_s)))

    if size:
        # Lists in flight are worked off side by side and end together: only whole turns can be counted.
        loop = closed_loop(served.port, requests, clients=CLIENTS, seconds=600, most_answers=TURNS * CLIENTS, mark=mark)
    else:
        loop = closed_loop(served.port, requests, clients=CLIENTS, seconds=round_s, warm_s=round_s / 2, mark=mark)
    tally = asyncio.run(loop)
    assert set(tally.statuses) == {200}, f"answers by status: {tally.statuses}; none: the machine is too busy"
    client_s, http_s, engine_s = (after - before for before, after in zip(*clocks, strict=True))
    side.units_per_s.append(tally.units_per_s)
    side.units_per_cpu_s.append(tally.units / (client_s + http_s + engine_s))
    side.client_ms.append(1000 * client_s / tally.answers)
    side.http_ms.append(1000 * http_s / tally.answers)
    side.engine_ms.append(1000 * engine_s / tally.units)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="default: sentiment, translate and assistant")
    parser.add_argument("--models-dir", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--cores", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round-s", type=float, default=4.0)
    asked = parser.parse_args()
    cards = {card.id: card for card in find_models(asked.models_dir)}
    print(HEADER)
    for model in asked.model or ["sentiment", "translate", "assistant"]:
        card = cards[model]
        lists = (0,) if card.task == "generation" else (0, 16)
        for line in measure(card, rounds=asked.rounds, round_s=asked.round_s, cores=asked.cores, lists=lists):
            print(line, flush=True)


if __name__ == "__main__":
    main()
