"""A decoder folder opened by CTranslate2's own loop, for self-checks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt

from models.convert.contract import Probe, surprises_of
from models.vocabulary import read_vocabulary

_ROWS = 64
"""The positions whose logits become probabilities in one step."""


class _Loop:
    def __init__(self, generator: Any, vocabulary: Sequence[str]) -> None:
        self._generator = generator
        self._vocabulary = vocabulary

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """The logits after each of the ids, of shape (ids, vocabulary)."""
        found: npt.NDArray[np.float32] = np.array(self._generator.forward_batch([list(ids)]))[0]
        return found

    def surprises(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """The negative log-probability in nats of each id but the first after the ids before it."""
        logits = self.logits(ids)
        parts = [surprises_of(logits[i : i + _ROWS], ids[i + 1 : i + 1 + _ROWS]) for i in range(0, len(ids) - 1, _ROWS)]
        return np.concatenate(parts)

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest ``count`` tokens after the ids; no token ends them."""
        prompt = [self._vocabulary[id] for id in ids]
        options: dict[str, Any] = {"include_prompt_in_result": False, "end_token": [], "cache_static_prompt": False}
        made: list[int] = self._generator.generate_batch([prompt], max_length=count, **options)[0].sequences_ids[0]
        return made


@contextmanager
def open_loop(folder: Path) -> Iterator[Probe]:
    """Open a folder in its stored precision."""
    generator = ctranslate2.Generator(str(folder), device="cpu", compute_type="default", inter_threads=1)
    try:
        yield _Loop(generator, read_vocabulary(folder))
    finally:
        del generator
