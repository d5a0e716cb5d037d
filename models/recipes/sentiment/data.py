"""Step 1, data: `python -m models.recipes.sentiment.data --data DIR --work DIR`.

Contract: reads the shared data folder, writes WORK/train.jsonl and WORK/dev.jsonl. Only sources
that may be shipped are read. It knows nothing of models.
"""

from __future__ import annotations

import argparse
import dataclasses
import lzma
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from models.recipes.classifier.rows import Row, one_label, read_rows, write_rows
from models.recipes.sentiment import sentences

LABELS = ("negative", "neutral", "positive")
# Sources without a neutral class: their rows leave "neutral" unannotated.
BINARY_SOURCES = frozenset({"sst2", "rt-polarity", "customer-reviews"})
# The chance that an epoch takes a row: comments are long and many, one and two words say little.
SHARES = {"goemotions": 0.5, "joined": 0.6}
SHORT_PHRASE_WORDS = 2
SHORT_PHRASE_SHARE = 0.5
PLAIN_ROWS = {"snips": 1200, "clinc150": 1200, "mlqe-pe": 600, "pydocs": 600}
JOINED_ROWS = 1500
EMOJI_ROWS = 3000
# Emoji whose sentiment hardly depends on the text; laughing and crying ones are left to the data.
EMOJI = {"positive": "😍🥰😊😁👍🎉❤💕🥳🤩👏🙌😃😄💖🏆", "negative": "😡🤬😠👎💔😞🤮😤😒🙄😩😖🤢😣"}
SEED = 11


def labelled(row: Row) -> Row:
    """The row without a label for `neutral` if its source has no such class."""
    if row.source not in BINARY_SOURCES:
        return row
    known = {name: value for name, value in row.labels.items() if name != "neutral"}
    return Row(row.text, known, row.source)


def share_of(row: Row) -> float:
    """The chance that an epoch takes the row."""
    if row.source == "sst2" and len(row.text.split()) <= SHORT_PHRASE_WORDS:
        return SHORT_PHRASE_SHARE
    return SHARES.get(row.source, 1.0)


def plain_statements(data: Path, rng: random.Random) -> Iterator[Row]:
    """Commands, requests and encyclopedia sentences: neutral, and rare in opinion data."""
    neutral = one_label(LABELS, "neutral")
    texts = {
        "snips": _first_column(data / "intent" / "snips.train.tsv.xz"),
        "clinc150": _first_column(data / "intent" / "clinc150.train.tsv.xz"),
        "mlqe-pe": _first_column(data / "translation" / "en-de.train.tsv.xz", source="mlqe-pe"),
        "pydocs": _first_column(data / "translation" / "en-es.train.tsv.xz", source="pydocs"),
    }
    for name, rows in PLAIN_ROWS.items():
        for text in rng.sample(texts[name], rows):
            yield Row(text, neutral, f"{name} (as neutral)")


def with_emoji(rows: list[Row], rng: random.Random) -> Iterator[Row]:
    """Emoji alone, and after sentences of the same sentiment: people type them, the data hardly has them."""
    for label, emoji in EMOJI.items():
        known = one_label(LABELS, label)
        pool = [row.text for row in rows if row.labels.get(label) and row.source in ("sst3", "goemotions")]
        for number, text in enumerate(rng.sample(pool, EMOJI_ROWS // 2)):
            signs = rng.choice(emoji) * rng.randint(1, 3)
            if number % 4 == 0:
                signs += rng.choice(emoji)
            yield Row(signs if number % 5 == 0 else f"{text} {signs}", known, "emoji")


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
    """Every training row, in a fixed order."""
    rng = random.Random(SEED)
    rows = [labelled(row) for row in read_rows(data / "sentiment" / "en.train.tsv.xz", LABELS)]
    rows += [*joined(rows, rng), *plain_statements(data, rng), *with_emoji(rows, rng)]
    return [dataclasses.replace(row, share=share_of(row)) for row in rows]


def main() -> None:
    """Read the options and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of what an epoch takes of the sources otherwise")
    parser.add_argument("--sentences", type=float, default=0.5, help="the share that an epoch takes of sentences.toml")
    parser.add_argument("--seed", type=int, default=SEED, help="of the forms of sentences.toml")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = [dataclasses.replace(row, share=row.share * arguments.share) for row in training_rows(arguments.data)]
    rows += sentences.rows(random.Random(arguments.seed), arguments.sentences, EMOJI, ["en"])
    write_rows(arguments.work / "train.jsonl", rows)
    dev = read_rows(arguments.data / "sentiment" / "en.dev.tsv.xz", LABELS)
    write_rows(arguments.work / "dev.jsonl", dev)
    for source, count in sorted(Counter(row.source for row in rows).items()):
        print(f"{source}: {count} rows")


if __name__ == "__main__":
    main()
