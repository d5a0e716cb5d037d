"""Step 3, data: `python -m models.recipes.sentiment_multilingual.data --data DIR --work DIR`.

Contract: reads the shared data folder, WORK/parallel.jsonl, WORK/translated.jsonl and the sentences of the recipe of
`sentiment`; writes WORK/train.jsonl and WORK/dev.jsonl. Only sources that may be shipped are read. It knows nothing of
models.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.recipes.classifier.rows import Row, one_label, read_rows, write_rows
from models.recipes.sentiment import data as english
from models.recipes.sentiment import sentences
from models.recipes.sentiment.data import EMOJI, LABELS
from models.recipes.sentiment_multilingual.recipe import FOREIGN

SEED = 23
TEACHER_SHARPNESS = 1.4
"""The exponent of the teacher's probabilities, which are calibrated for judging and too soft to learn from."""
PARALLEL_ROWS = {"negative": 9000, "neutral": 7000, "positive": 9000}
"""Of each language, by the teacher's label."""
SURE = {"negative": 0.5, "neutral": 0.6, "positive": 0.5}
ENGLISH_SHARE = 0.75
TRANSLATED_SHARE = 0.6
PARALLEL_SHARE = 0.6
SENTENCES_SHARE = 0.7


def parallel_rows(file: Path, rng: random.Random) -> Iterator[Row]:
    """Human translations, with the English classifier's probabilities for their English side."""
    found: dict[tuple[str, str], list[Row]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        powers = [probability**TEACHER_SHARPNESS for probability in record["p"]]
        soft = {name: round(power / sum(powers), 3) for name, power in zip(LABELS, powers, strict=True)}
        best = max(soft, key=lambda name: soft[name])
        if soft[best] < SURE[best]:
            continue
        for language in FOREIGN:
            for text in record.get(language, [])[:2]:
                found.setdefault((language, best), []).append(Row(text, soft, record["src"], PARALLEL_SHARE))
    for (_, label), rows in sorted(found.items()):
        yield from rng.sample(rows, min(len(rows), PARALLEL_ROWS[label]))


def translated_rows(file: Path) -> Iterator[Row]:
    """Labelled English rows, translated by the shipped translator."""
    for record in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        for language in FOREIGN:
            text = record[language]
            if text and text.casefold() != record["text"].casefold():
                row = Row(text, one_label(LABELS, record["label"]), record["source"], TRANSLATED_SHARE)
                yield english.labelled(row)


def training_rows(data: Path, work: Path) -> list[Row]:
    """Every training row, in a fixed order."""
    rng = random.Random(SEED)
    rows = [dataclasses.replace(row, share=row.share * ENGLISH_SHARE) for row in english.training_rows(data)]
    rows += parallel_rows(work / "parallel.jsonl", rng)
    rows += sentences.rows(rng, SENTENCES_SHARE, EMOJI)
    if (work / "translated.jsonl").exists():
        rows += translated_rows(work / "translated.jsonl")
    return rows


def main() -> None:
    """Read the options and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    rows = training_rows(arguments.data, arguments.work)
    write_rows(arguments.work / "train.jsonl", rows)
    dev = read_rows(arguments.data / "sentiment" / "en.dev.tsv.xz", LABELS)
    write_rows(arguments.work / "dev.jsonl", dev)
    counts: Counter[Any] = Counter(row.source for row in rows)
    for source, count in sorted(counts.items()):
        print(f"{source}: {count} rows")


if __name__ == "__main__":
    main()
