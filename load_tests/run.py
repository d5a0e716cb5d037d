"""Every load test in one command, and a report.

    python -m load_tests.run [--quick] [--report FILE]

Takes about ten minutes, and wants the machine to itself. ``RESULTS.md`` keeps the numbers that were reached.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from load_tests import efficiency, latency, machine, memory, traffic
from load_tests.served import server
from models.registry import ModelCard, find_models
from server.batching.cores import usable_cores
from server.settings import SHIPPED_MODELS

SCENARIOS = Path(__file__).parent / "scenarios"


def report(models_dir: Path, *, quick: bool) -> Iterator[str]:
    """The lines of the report, as they come."""
    cards = {card.id: card for card in find_models(models_dir)}
    yield f"# Load tests\n\n{machine.describe()}\n"
    yield f"## Efficiency: 32 clients in a closed loop\n\n{efficiency.HEADER}"
    for model in ("sentiment", "translate", "assistant"):
        yield from _efficiency(cards[model], quick)
    yield "\n## Latency: one short sentiment request at a time\n"
    yield from latency.measure(models_dir, 100 if quick else 500).lines()
    yield f"\n## Traffic: requests at random times\n\n{traffic.HEADER}"
    with server((), "--models-dir", str(models_dir)) as served:
        for file in sorted(SCENARIOS.glob("*.toml")):
            yield from traffic.run(served.port, file, cards)
    yield f"\n## Memory\n\n{memory.HEADER}"
    with server((), "--models-dir", str(models_dir)) as served:
        processes, statuses = asyncio.run(memory.drive(served, 500 if quick else 10_000))
    yield from (process.line() for process in processes)
    yield f"\nAnswers by status: {dict(sorted(statuses.items()))}"


def _efficiency(card: ModelCard, quick: bool) -> Iterator[str]:
    lists = (0,) if card.task == "generation" else (0, 16)
    rounds, round_s = (2, 2.5) if quick else (5, 4.0)
    return efficiency.measure(card, rounds=rounds, round_s=round_s, cores=usable_cores(), lists=lists)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-dir", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--quick", action="store_true", help="a minute or two, rough numbers")
    parser.add_argument("--report", type=Path, default=Path("build/load/report.md"))
    asked = parser.parse_args()
    asked.report.parent.mkdir(parents=True, exist_ok=True)
    with asked.report.open("w", encoding="utf-8") as file:
        for line in report(asked.models_dir, quick=asked.quick):
            for out in (sys.stdout, file):
                print(line, file=out, flush=True)
    print(f"\nwritten to {asked.report}")


if __name__ == "__main__":
    main()
