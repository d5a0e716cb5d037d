"""Step 1, data: `python -m models.recipes.sentiment.data --data DIR --work DIR`.

Contract: reads the shared data folder, writes WORK/train.jsonl and WORK/dev.jsonl. Only sources
that may be shipped are read. It knows nothing of models.
"""

from __future__ import annotations

import argparse
import lzma
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from models.recipes.classifier.rows import Row, one_label, read_rows, write_rows

LABELS = ("negative", "neutral", "positive")
# Sources without a neutral class: their rows say nothing of "neutral", so it stays unannotated.
BINARY_SOURCES = frozenset({"sst2", "rt-polarity", "customer-reviews"})
# Whole sentences with three classes are what the tests ask for; phrases are many and short.
COPIES = {"sst3": 2, "customer-reviews": 2}
PLAIN_ROWS = 1200
JOINED_ROWS = 1500
SEED = 11


def labelled(row: Row) -> Row:
    """The row with `neutral` forgotten where its source could not say it."""
    if row.source not in BINARY_SOURCES:
        return row
    known = {name: value for name, value in row.labels.items() if name != "neutral"}
    return Row(row.text, known, row.source)


def plain_statements(data: Path, rng: random.Random) -> Iterator[Row]:
    """Commands, requests and encyclopedia sentences: neutral, and rare in opinion data."""
    neutral = one_label(LABELS, "neutral")
    for name in ("snips", "clinc150"):
        rows = _first_column(data / "intent" / f"{name}.train.tsv.xz")
        for text in rng.sample(rows, PLAIN_ROWS):
            yield Row(text, neutral, f"{name} (as neutral)")
    translations = data / "translation" / "en-de.train.tsv.xz"
    wikipedia = _first_column(translations, source="mlqe-pe")
    for text in rng.sample(wikipedia, PLAIN_ROWS):
        yield Row(text, neutral, "mlqe-pe (as neutral)")
    manual = _first_column(data / "translation" / "en-es.train.tsv.xz", source="pydocs")
    for text in rng.sample(manual, PLAIN_ROWS // 2):
        yield Row(text, neutral, "pydocs (as neutral)")


def joined(rows: list[Row], rng: random.Random) -> Iterator[Row]:
    """Several sentences of one label as one text, since whole reviews are not in the data."""
    pools: dict[str, list[str]] = {"negative": [], "positive": []}
    for row in rows:
        label = max(row.labels, key=lambda name: row.labels[name])
        if row.source in ("sst3", "customer-reviews", "rt-polarity") and label in pools:
            pools[label].append(row.text)
    for number in range(JOINED_ROWS):
        label = "negative" if number % 2 else "positive"
        parts = rng.sample(pools[label], rng.randint(2, 5))
        known = {"negative": int(label == "negative"), "positive": int(label == "positive")}
        yield Row(" ".join(parts), known, "joined")


def _first_column(file: Path, source: str | None = None) -> list[str]:
    with lzma.open(file, "rt", encoding="utf-8", newline="\n") as lines:
        fields = (line.rstrip("\n").split("\t") for line in lines)
        return [row[0] for row in fields if source is None or row[2] == source]


def training_rows(data: Path) -> list[Row]:
    """Every training row, copies included, in a fixed order."""
    rng = random.Random(SEED)
    rows = [labelled(row) for row in read_rows(data / "sentiment" / "en.train.tsv.xz", LABELS)]
    extra = [*joined(rows, rng), *plain_statements(data, rng)]
    repeated = [row for row in rows for _ in range(COPIES.get(row.source, 1) - 1)]
    return [*rows, *repeated, *extra]


def main() -> None:
    """Read the options and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = training_rows(arguments.data)
    write_rows(arguments.work / "train.jsonl", rows)
    dev = read_rows(arguments.data / "sentiment" / "en.dev.tsv.xz", LABELS)
    write_rows(arguments.work / "dev.jsonl", dev)
    for source, count in sorted(Counter(row.source for row in rows).items()):
        print(f"{source}: {count} rows")


if __name__ == "__main__":
    main()
