"""Step 3, data: `python -m models.recipes.sentiment_multilingual.data --data DIR --work DIR`.

Contract: reads the shared data folder, WORK/parallel.jsonl, WORK/translated.jsonl and the sentences of the recipe of
`sentiment`; writes WORK/train.jsonl and WORK/dev.jsonl, with `--round` those of the second or third round, which have
posts too. Only sources that may be shipped are read. It knows nothing of models.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models.recipes.classifier.rows import Row, one_label, read_rows, write_rows
from models.recipes.sentiment import data as english
from models.recipes.sentiment import sentences
from models.recipes.sentiment.data import EMOJI, LABELS
from models.recipes.sentiment.recipe import SOURCES as ENGLISH_SOURCES
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
POSTS = Path(__file__).with_name("posts.toml")
POSTS_SEED = 31
FRENCH_POSTS = {"negative": 3000, "neutral": 2000, "positive": 3000}
SPANISH_POSTS = {"negative": 1000, "neutral": 2000, "positive": 600}


def parallel_rows(file: Path, rng: random.Random) -> Iterator[tuple[str, Row]]:
    """Language and row: translations by people, with what the English classifier says of their English side."""
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
    for (language, label), rows in sorted(found.items()):
        yield from ((language, row) for row in rng.sample(rows, min(len(rows), PARALLEL_ROWS[label])))


def translated_rows(file: Path) -> Iterator[tuple[str, Row]]:
    """Language and row: labelled English rows in the words of the shipped translator."""
    for record in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        for language in FOREIGN:
            text = record[language]
            if text and text.casefold() != record["text"].casefold():
                row = Row(text, one_label(LABELS, record["label"]), record["source"], TRANSLATED_SHARE)
                yield language, english.labelled(row)


def training_rows(data: Path, work: Path, round_: int = 1) -> list[Row]:
    """Every training row of a round, in a fixed order."""
    rng = random.Random(SEED)
    told = [("en", dataclasses.replace(row, share=row.share * ENGLISH_SHARE)) for row in english.training_rows(data)]
    told += parallel_rows(work / "parallel.jsonl", rng)
    told += [("", row) for row in sentences.rows(rng, SENTENCES_SHARE, EMOJI)]
    if (work / "translated.jsonl").exists():
        told += translated_rows(work / "translated.jsonl")
    if round_ == 1:
        return [row for _, row in told]
    told = [(language, second_round(language, row)) for language, row in told]
    told += [("fr", row) for row in posts("fr", FRENCH_POSTS)]
    if round_ == 2:
        return [row for _, row in told]
    return [third_round(language, row) for language, row in told] + posts("es", SPANISH_POSTS)


def posts(language: str, counts: Mapping[str, int]) -> list[Row]:
    """Rows made of posts.toml."""
    rows = sentences.rows(random.Random(POSTS_SEED), 1.0, EMOJI, [language], POSTS, counts)
    return [dataclasses.replace(row, source="posts") for row in rows]


def second_round(language: str, row: Row) -> Row:
    """The row, oftener if it is French with an opinion: the first round found too many French texts neutral."""
    factor = 0.7 if language else 0.8
    if language == "fr":
        factor = 0.4 if is_neutral(row) and row.source not in ENGLISH_SOURCES else 1.2
    elif language == "en":
        factor = 0.4 if row.source == "sst2" else 1.0
    return dataclasses.replace(row, share=min(1.0, row.share * factor))


def third_round(language: str, row: Row) -> Row:
    """The row, half as often, but Spanish neutral ones nearly as often as before: the second round found too few."""
    return dataclasses.replace(row, share=row.share * (0.9 if language == "es" and is_neutral(row) else 0.5))


def is_neutral(row: Row) -> bool:
    """Whether the row is more likely neutral than not."""
    return row.labels.get("neutral", 0) > 0.5


def main() -> None:
    """Read the options and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--round", type=int, choices=[1, 2, 3], default=1, help="2 and 3 have posts")
    arguments = parser.parse_args()
    rows = training_rows(arguments.data, arguments.work, arguments.round)
    write_rows(arguments.work / "train.jsonl", rows)
    dev = read_rows(arguments.data / "sentiment" / "en.dev.tsv.xz", LABELS)
    write_rows(arguments.work / "dev.jsonl", dev)
    counts: Counter[Any] = Counter(row.source for row in rows)
    for source, count in sorted(counts.items()):
        print(f"{source}: {count} rows")


if __name__ == "__main__":
    main()
