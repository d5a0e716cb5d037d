"""Harmless text of many kinds, for training, calibration and the false alarm figure.

Contract: reads the shared data folder, returns fixed lists of texts per part (train, dev, test),
which share no source file. Without such rows a model that has only seen forums and tweets flags
plain talk. It knows nothing of labels or models.
"""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from models.recipes.common import read_tsv_xz

Part = Literal["train", "dev", "test"]
Reader = Callable[[Path], Iterator[str]]
SEED = 23
SHORTEST_CHARACTERS = 12


def column(name: str, place: int = 0, **conditions: str) -> Reader:
    """One column of a tsv, perhaps only the rows of a source or label."""

    def read(data: Path) -> Iterator[str]:
        wanted = set(conditions.values())
        for row in read_tsv_xz(data / name):
            if not wanted or wanted <= set(row[1:]):
                yield row[place]

    return read


def turns(name: str, role: str) -> Reader:
    """Every message of a role in a file of conversations."""

    def read(data: Path) -> Iterator[str]:
        with lzma.open(data / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from (m["content"] for m in json.loads(line)["messages"] if m["role"] == role)

    return read


def paragraphs(name: str) -> Reader:
    """Every paragraph of a file of stories."""

    def read(data: Path) -> Iterator[str]:
        with lzma.open(data / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from json.loads(line)["text"].split("\n")

    return read


def joined(read: Reader, texts: int) -> Reader:
    """Several texts in a row as one: longer reviews are not in the data."""

    def read_joined(data: Path) -> Iterator[str]:
        every = list(read(data))
        yield from (" ".join(every[start : start + texts]) for start in range(0, len(every) - texts + 1, texts))

    return read_joined


# Sharp criticism and praise with strong words are in here on purpose: neither is harassment.
_READERS: dict[Part, dict[str, tuple[int, Reader]]] = {
    "train": {
        "goemotions": (2500, column("sentiment/en.train.tsv.xz", label="positive", source="goemotions")),
        "sst3": (1500, column("sentiment/en.train.tsv.xz", source="sst3")),
        "sst3 (joined)": (1500, joined(column("sentiment/en.train.tsv.xz", source="sst3"), 4)),
        "customer-reviews": (1000, column("sentiment/en.train.tsv.xz", source="customer-reviews")),
        "mt-geneval": (1500, column("translation/en-de.train.tsv.xz", source="mt-geneval")),
        "mlqe-pe": (700, column("translation/en-de.train.tsv.xz", source="mlqe-pe")),
        "mlqe-pe (de)": (500, column("translation/en-de.train.tsv.xz", 1, source="mlqe-pe")),
        "europarl": (500, column("translation/en-fr.train.tsv.xz", source="europarl")),
        "europarl (fr)": (300, column("translation/en-fr.train.tsv.xz", 1, source="europarl")),
        "europarl (es)": (300, column("translation/en-es.train.tsv.xz", 1, source="europarl")),
        "pydocs": (800, column("translation/en-es.train.tsv.xz", source="pydocs")),
        "clinc150": (1200, column("intent/clinc150.train.tsv.xz")),
        "banking77": (600, column("intent/banking77.train.tsv.xz")),
        "dialogue": (1500, turns("dialogue/train.jsonl.xz", "user")),
        "stories": (1000, paragraphs("stories/train.jsonl.xz")),
        "dolly": (800, turns("instruction/dolly.train.jsonl.xz", "assistant")),
    },
    "dev": {
        "clinc150": (600, column("intent/clinc150.dev.tsv.xz")),
        "dolly": (400, turns("instruction/dolly.dev.jsonl.xz", "user")),
        "flores": (600, column("translation/en-de.dev.tsv.xz", source="flores200-dev")),
        "tatoeba": (600, column("translation/en-de.dev.tsv.xz", source="tatoeba")),
        "sst3": (600, column("sentiment/en.dev.tsv.xz", source="sst3-dev")),
        "sst3 (joined)": (250, joined(column("sentiment/en.dev.tsv.xz", source="sst3-dev"), 4)),
        "stories": (300, paragraphs("stories/dev.jsonl.xz")),
    },
    "test": {
        "banking77": (500, column("intent/banking77.test.tsv.xz")),
        "multidogo": (500, column("intent/multidogo.test.tsv.xz")),
        "newstest2014": (500, column("translation/en-de.test.tsv.xz", source="newstest2014")),
        "tatoeba": (500, column("translation/en-de.test.tsv.xz", source="tatoeba")),
        "sst3": (500, column("sentiment/en.test.tsv.xz", source="sst3-test")),
        "imdb": (500, column("sentiment/en.test.tsv.xz", source="imdb-test")),
    },
}


def harmless(data: Path, part: Part) -> dict[str, list[str]]:
    """A sample of each source of a part."""
    rng = random.Random(f"{SEED} {part}")
    chosen: dict[str, list[str]] = {}
    for source, (rows, read) in _READERS[part].items():
        texts = sorted({text for text in read(data) if len(text) >= SHORTEST_CHARACTERS})
        chosen[source] = rng.sample(texts, min(rows, len(texts)))
    return chosen
