"""A converted decoder as it will be served: by our decode engine where it can, else by CTranslate2's own loop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.convert.contract import CannotConvert, Probe, surprises_of
from models.convert.probe import open_loop
from server.batching.cores import usable_cores
from server.engines.step.support import config, core, is_own, positions, supports

if TYPE_CHECKING:
    from server.engines.step._core import Decoder

CONTEXT_TOKENS = 4096
"""More than a self-check reads."""
CHUNK_TOKENS = 64
"""As the engine does, a prompt is read in chunks."""
_TEXTS_AT_ONCE = 16
"""More than a short context has room for would not fit into the cache."""


@contextmanager
def open_served(folder: Path) -> Iterator[Probe]:
    """Open a folder that has no manifest yet.

    Raises:
        CannotConvert: it lacks a number without which no engine computes the model's own answers, or no engine here
            computes it.
    """
    compiled = core()
    try:
        refused = supports(folder)
    except ValueError as error:
        raise CannotConvert(f"This folder is not whole: {error}") from error
    if refused is not None and is_own(folder):
        raise CannotConvert(
            f"CTranslate2's own loop does not compute this model, and our decode engine does not: {refused}."
        )
    if compiled is None or refused is not None:
        with open_loop(folder) as probe:
            yield probe
        return
    learned = positions(folder)
    decoder = compiled.Decoder(
        path=str(folder / "model.bin"),
        config=config(folder),
        threads=usable_cores(),
        instruction_set="",
        context_tokens=CONTEXT_TOKENS if learned is None else min(CONTEXT_TOKENS, learned),
        cache_bytes=0,  # the least: one whole context
    )
    step = _Step(decoder)
    del decoder
    try:
        yield step
    finally:
        step.close()


class _Step:
    def __init__(self, decoder: "Decoder") -> None:
        self._decoder = decoder

    def close(self) -> None:
        """Give the memory back, whoever holds this still."""
        del self._decoder

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """The logits after each of the ids, of shape (ids, vocabulary)."""
        return np.concatenate(list(self._parts(ids)))

    def surprises(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """How unlikely each id but the first was after those before it, in nats."""
        found, at = [], 1
        for part in self._parts(ids):
            found.append(surprises_of(part, ids[at : at + len(part)]))
            at += len(part)
        return np.concatenate(found)

    def _parts(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """The logits after the ids, some positions at a time."""
        row = self._decoder.open(ids)
        while left := self._decoder.pending(row):
            count = min(CHUNK_TOKENS, left)
            if not self._decoder.reserve(row, count):
                raise RuntimeError("the cache has no room for a self-check")
            yield self._decoder.logits([row], [count])
        self._decoder.close(row)
        self._decoder.forget_prefixes()

    def written(self, begin: Sequence[int], texts: int, length_tokens: int) -> list[list[int]]:
        """Texts that the model writes after these ids, each drawn at temperature 1; the same for each call."""
        length_tokens = min(length_tokens, self._decoder.context_tokens)
        written = []
        for seed in range(0, texts, _TEXTS_AT_ONCE):
            rows = [self._decoder.open(begin, temperature=1.0, seed=seed + i) for i in range(_TEXTS_AT_ONCE)]
            made = [list(begin) for _ in rows]
            while len(made[0]) < length_tokens:
                self._reserve(rows)
                ids, _ = self._decoder.step(rows, [self._decoder.pending(row) for row in rows])
                for text, id in zip(made, ids, strict=True):
                    text.append(id)
            for row in rows:
                self._decoder.close(row)
            written += made
        self._decoder.forget_prefixes()
        return written[:texts]

    def input_squares(self, ids: Sequence[int]) -> list[list[npt.NDArray[np.float32]]]:
        """For each layer the sums over the ids of the squares of its products' inputs."""
        row = self._decoder.open(ids)
        self._reserve([row])
        found = self._decoder.inputs(row, len(ids))
        self._decoder.close(row)
        self._decoder.forget_prefixes()
        return [[np.square(inputs).sum(0) for inputs in layer] for layer in found]

    def _reserve(self, rows: Sequence[int]) -> None:
        if not all(self._decoder.reserve(row, self._decoder.pending(row)) for row in rows):
            raise RuntimeError("the cache has no room for a self-check")

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest ``count`` tokens after the ids; nothing ends them."""
        row = self._decoder.open(ids)
        made: list[int] = []
        while len(made) < count:
            pending = self._decoder.pending(row)
            if not self._decoder.reserve(row, pending):
                raise RuntimeError("the cache has no room for a self-check")
            chosen, _ = self._decoder.step([row], [pending])
            made += chosen
        self._decoder.close(row)
        return made
