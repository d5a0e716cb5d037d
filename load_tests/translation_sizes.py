"""Encoder-decoders of OPUS-MT's size on our engine and on CTranslate2's: ``python -m load_tests.translation_sizes``.

The weights are random, and so nothing ends by itself: each sentence decodes as many tokens as its source has. Clients
ask for a sentence each, one after another. CTranslate2's Translator gets them as they come, in as many workers as there
are cores; so does ours, whose sentences join what is under way. The other line is CTranslate2's best case: all
sentences are there, sorted and in batches of 32. Both decode with beams of 1 and in int8.
"""

import argparse
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from load_tests.machine import describe
from server.batching.cores import usable_cores
from server.engines.base import Room, Turn
from server.engines.kinds import EngineSpec
from server.engines.rows import Translated, TranslationRow
from server.engines.step.translator import StepTranslator
from tests.engines.step import tiny_translators as models

CLIENTS = 32
SIZES = {"WIDTH": 512, "HEADS": 8, "INNER": 2048, "LAYERS": 6, "POSITIONS": 512, "VOCABULARY": 58_000}
"""As OPUS-MT's."""


def rows(count: int, tokens: Sequence[str]) -> list[TranslationRow]:
    """Sentences of 4 to 40 tokens."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(4, 41, count)
    return [TranslationRow([tokens[i] for i in draw.integers(3, len(tokens), n)], max_tokens=int(n)) for n in lengths]


class Line:
    """The queue that the lanes take rows from. A client that got its answer puts its next row in."""

    def __init__(self, work: Sequence[TranslationRow]) -> None:
        self._left = list(work)[::-1]
        self._lock = threading.Lock()

    def take(self, count: int) -> list[TranslationRow]:
        """Up to so many rows."""
        with self._lock:
            return [self._left.pop() for _ in range(min(count, len(self._left)))]


class Lane:
    """The outbox of one lane with its share of the clients: one that ends makes room for its next sentence."""

    def __init__(self, line: Line, clients: int) -> None:
        self._line = line
        self._free = 0
        self.made = 0
        """Tokens."""
        self.first = line.take(clients)

    def done(self, index: int, outcome: object) -> None:
        """A client has its answer."""
        assert isinstance(outcome, Translated), outcome
        self.made += len(outcome.hypotheses[0].tokens)
        self._free += 1

    def step(self, room: Room | None = None) -> Turn[TranslationRow]:
        """The next sentences of the clients that are free."""
        joined, self._free = self._line.take(self._free), 0
        return Turn(joined=joined)


def ours(folder: Path, work: Sequence[TranslationRow], lanes: int) -> float:
    """Seconds for all sentences."""
    engine = StepTranslator(EngineSpec("step-translator", str(folder), options={"max_rows": CLIENTS}))
    line = Line(work)
    each = [Lane(line, CLIENTS // lanes) for _ in range(lanes)]
    took_s = together([lambda lane=lane: engine.run(lane.first, lane) for lane in each])  # type: ignore[misc]
    engine.close()
    made, wanted = sum(lane.made for lane in each), sum(row.max_tokens for row in work)
    assert made > 0.98 * wanted, f"{made} of {wanted} tokens: the ends come by themselves"
    return took_s


def theirs(folder: Path, work: Sequence[TranslationRow], lanes: int) -> float:
    """The same with a call for each sentence."""
    translator = ctranslate2.Translator(str(folder), compute_type="int8_float32", inter_threads=lanes, intra_threads=1)
    left: queue.SimpleQueue[TranslationRow] = queue.SimpleQueue()
    for row in work:
        left.put(row)

    def client() -> None:
        while True:
            try:
                row = left.get_nowait()
            except queue.Empty:
                return
            call(translator, [row])

    return together([client] * CLIENTS)


def best(folder: Path, work: Sequence[TranslationRow], lanes: int) -> float:
    """The same in static batches of sentences of one length."""
    translator = ctranslate2.Translator(str(folder), compute_type="int8_float32", inter_threads=lanes, intra_threads=1)
    ordered = sorted(work, key=lambda row: len(row.source))
    batches = [ordered[i : i + CLIENTS] for i in range(0, len(ordered), CLIENTS)]
    shares = [batches[i::lanes] for i in range(lanes)]
    return together([lambda share=share: [call(translator, batch) for batch in share] for share in shares])  # type: ignore[misc]


def call(translator: Any, batch: Sequence[TranslationRow]) -> None:
    """One call of CTranslate2."""
    most = max(row.max_tokens for row in batch)
    translator.translate_batch(
        [list(row.source) for row in batch], beam_size=1, min_decoding_length=most, max_decoding_length=most
    )


def together(calls: Sequence[Callable[[], object]]) -> float:
    """Seconds until all calls are back, each on a thread."""
    threads = [threading.Thread(target=each) for each in calls]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    for name, value in SIZES.items():
        setattr(models, name, value)
    tokens = [models.END, models.UNKNOWN, models.START, *(f"t{i}" for i in range(models.VOCABULARY - 3))]
    models.TOKENS[:] = tokens
    work, lanes = rows(options.sentences, tokens), usable_cores()
    print(f"{describe()}; {CLIENTS} clients, {len(work)} sentences of 4 to 40 tokens")
    with tempfile.TemporaryDirectory() as made:
        folder = models.write(Path(made) / "opus", pre_norm=False)
        for _ in range(options.turns):
            for name, measure in (("step engine", ours), ("Translator", theirs), ("Translator, sorted", best)):
                took_s = measure(folder, work, lanes)
                print(f"{name:20} {len(work) / took_s:7.1f} sentences/s", flush=True)


if __name__ == "__main__":
    main()
