"""Speed of a converted encoder on this machine.

Contract: texts a second of processor time, on one thread in batches of eight, the best of three
runs. It measures processor time and not the clock, since other programs may be running. It knows nothing of
quality.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from models.recipes.classifier.infer import EngineEncoder


def texts_per_second(encoder: EngineEncoder, texts: Sequence[str]) -> float:
    """The best of three runs, since other programs only make a run slower."""
    encoder.pooled(texts[:16], batch_rows=8)
    best_s = float("inf")
    for _ in range(3):
        started_s = time.process_time()
        encoder.pooled(texts, batch_rows=8)
        best_s = min(best_s, time.process_time() - started_s)
    return len(texts) / best_s
