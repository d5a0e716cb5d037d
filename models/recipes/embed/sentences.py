"""The sentences that `embed` is compared and measured on.

Contract: reads the shared data folder, yields fixed lists of texts. It knows nothing of models.
"""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

from models.recipes.common import read_tsv_xz

# Short everyday sentences, news, reviews and comments, requests: one column each.
_FILES = (
    "translation/en-de.test.tsv.xz",
    "translation/en-fr.dev.tsv.xz",
    "sentiment/en.test.tsv.xz",
    "intent/clinc150.test.tsv.xz",
    "intent/banking77.test.tsv.xz",
)
SEED = 5


def mixed_sentences(data: Path, rows: int) -> list[str]:
    """As many different sentences of each kind of text, shuffled."""
    rng = random.Random(SEED)
    chosen: list[str] = []
    for name in _FILES:
        texts = sorted({row[0] for row in read_tsv_xz(data / name)})
        chosen += rng.sample(texts, rows // len(_FILES))
    rng.shuffle(chosen)
    return chosen


def intents(data: Path, name: str, part: str) -> tuple[list[str], list[str]]:
    """Texts and labels of one part of an intent set."""
    rows = list(read_tsv_xz(data / "intent" / f"{name}.{part}.tsv.xz"))
    return [row[0] for row in rows], [row[1] for row in rows]


def questions_and_answers(data: Path, rows: int) -> tuple[list[str], list[str]]:
    """Questions and, at the same places, their answers."""
    with lzma.open(data / "instruction" / "dolly.train.jsonl.xz", "rt", encoding="utf-8") as lines:
        talks = [json.loads(line)["messages"] for line in lines]
    chosen = random.Random(SEED).sample(talks, min(rows, len(talks)))
    return [talk[0]["content"] for talk in chosen], [talk[1]["content"] for talk in chosen]
