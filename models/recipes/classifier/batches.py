"""Training rows in batches of one length.

Contract: rows of token ids in, batches out whose rows all have the same number of tokens, so
neither padding nor a mask is ever computed. It knows nothing of labels or text.
"""

from __future__ import annotations

import random
from collections.abc import Sequence


def equal_length_batches(
    lengths_tokens: Sequence[int], batch_rows: int, batch_tokens: int, rng: random.Random
) -> list[list[int]]:
    """Row indices in shuffled batches; a batch has one length and respects both limits."""
    by_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths_tokens):
        by_length.setdefault(length, []).append(index)
    batches: list[list[int]] = []
    for length, indices in by_length.items():
        rng.shuffle(indices)
        rows = max(1, min(batch_rows, batch_tokens // length))
        batches.extend(indices[start : start + rows] for start in range(0, len(indices), rows))
    rng.shuffle(batches)
    return batches
