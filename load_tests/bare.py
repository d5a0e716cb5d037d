"""Runs CTranslate2 without a server: the same rows in static batches, sorted by length.

    python -m load_tests.bare --model translate        # every setting, best first

The best setting is what the server is held against (``load_tests.efficiency``); the same table is where the
defaults of ``server.serving.build`` come from. Nothing of ``server`` is used to compute here.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ctranslate2
import numpy as np

from load_tests.rows import Rows, rows_for
from models.registry import ModelCard, find_models
from server.batching.cores import usable_cores
from server.settings import SHIPPED_MODELS

SIZES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Setting:
    """How the machine is cut up and how large a batch is."""

    replicas: int
    threads: int
    batch_rows: int

    def __str__(self) -> str:
        return f"{self.replicas}x{self.threads}, batches of {self.batch_rows}"


class Bare(Protocol):
    """A loaded model that runs one batch of rows."""

    def run(self, batch: Sequence[Any]) -> None:
        """Compute, and drop the result."""


class BareEncoder:
    """``Encoder``, each row pooled over its own tokens."""

    def __init__(self, card: ModelCard, setting: Setting) -> None:
        self._encoder = ctranslate2.Encoder(str(card.folder), **_threads(setting))

    def run(self, batch: Sequence[Sequence[int]]) -> None:
        hidden = np.asarray(self._encoder.forward_batch(list(batch)).last_hidden_state)
        for i, row in enumerate(batch):
            hidden[i, : len(row)].mean(axis=0)


class BareTranslator:
    """``Translator`` with the beam of the model's manifest."""

    def __init__(self, card: ModelCard, setting: Setting) -> None:
        assert card.translation is not None
        self._beam_size = card.translation.beam_size
        self._translator = ctranslate2.Translator(str(card.folder), **_threads(setting))

    def run(self, batch: Sequence[Sequence[str]]) -> None:
        self._translator.translate_batch(list(batch), beam_size=self._beam_size, return_scores=True)


class BareGenerator:
    """``Generator``, greedy, every row ``max_tokens`` long."""

    def __init__(self, card: ModelCard, setting: Setting, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._generator = ctranslate2.Generator(str(card.folder), **_threads(setting))

    def run(self, batch: Sequence[Sequence[str]]) -> None:
        self._generator.generate_batch(
            list(batch), max_length=self._max_tokens, end_token=[], include_prompt_in_result=False
        )


def load(card: ModelCard, rows: Rows, setting: Setting) -> Bare:
    """The model behind the class that its task needs."""
    if card.task == "generation":
        return BareGenerator(card, setting, rows.max_tokens)
    return BareTranslator(card, setting) if card.task == "translation" else BareEncoder(card, setting)


@dataclass(frozen=True, slots=True)
class Spent:
    """The time that some work took. On a busy machine processor time says more than the clock."""

    wall_s: float
    cpu_s: float


def run(bare: Bare, rows: Sequence[Sequence[Any]], setting: Setting) -> Spent:
    """Run all rows once."""
    batches = list(_batches(sorted(rows, key=len, reverse=True), setting.batch_rows))
    began_s, cpu_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(setting.replicas) as pool:
        list(pool.map(bare.run, batches))
    return Spent(time.perf_counter() - began_s, time.process_time() - cpu_s)


def settings(cores: int, sizes: Sequence[int] = SIZES) -> list[Setting]:
    """Every way to cut up the cores that leaves none idle, with every batch size."""
    cuts = [(n, cores // n) for n in range(1, cores + 1) if cores % n == 0]
    return [Setting(replicas, threads, size) for replicas, threads in cuts for size in sizes]


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a setting is: medians over rounds."""

    units_per_s: float
    units_per_cpu_s: float


def sweep(
    card: ModelCard, rows: Rows, cores: int, rounds: int = 3, sizes: Sequence[int] = SIZES
) -> list[tuple[Setting, Rate]]:
    """Units a second of every setting over interleaved rounds, best first."""
    loaded: dict[tuple[int, int], Bare] = {}
    spent: dict[Setting, list[Spent]] = {setting: [] for setting in settings(cores, sizes)}
    for setting in spent:
        cut = setting.replicas, setting.threads
        if cut not in loaded:
            loaded[cut] = load(card, rows, setting)
            run(loaded[cut], rows.rows[:32], setting)
    for _ in range(rounds):
        for setting, found in spent.items():
            found.append(run(loaded[setting.replicas, setting.threads], rows.rows, setting))
    rates = [
        (
            setting,
            Rate(
                rows.units / statistics.median(each.wall_s for each in found),
                rows.units / statistics.median(each.cpu_s for each in found),
            ),
        )
        for setting, found in spent.items()
    ]
    return sorted(rates, key=lambda pair: -pair[1].units_per_s)


def _threads(setting: Setting) -> dict[str, Any]:
    return {
        "device": "cpu",
        "compute_type": "int8_float32",
        "inter_threads": setting.replicas,
        "intra_threads": setting.threads,
        "max_queued_batches": -1,
    }


def _batches(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--models-dir", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--cores", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    card = next(card for card in find_models(asked.models_dir) if card.id == asked.model)
    rows = rows_for(card)
    print(f"{card.id}: {len(rows.rows)} rows; {rows.unit}s a second, a second of processor time, setting")
    for setting, rate in sweep(card, rows, asked.cores, asked.rounds):
        print(f"{rate.units_per_s:9.1f} {rate.units_per_cpu_s:9.1f}  {setting}", flush=True)


if __name__ == "__main__":
    main()
