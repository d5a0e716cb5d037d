"""Step 2, foreign: `python -m models.recipes.sentiment_multilingual.foreign --data DIR --work DIR`.

Contract: reads the shared data folder and the shipped models `sentiment` and `translate`; writes WORK/parallel.jsonl,
human translations with `sentiment`'s probabilities for their English side, and WORK/translated.jsonl, labelled English
rows translated by `translate`. It knows nothing of training.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.recipes.sentiment.recipe import RECIPE
from models.recipes.translate.engine import Engine
from models.recipes.translate.section import FOREIGN, SECTION

WEIGHTS = Path("models/weights")
PARALLEL_SOURCES = frozenset({"tatoeba", "bcontrast", "cocoa-mt", "mozilla", "mt-geneval", "europarl"})
MOST_OF = {"mozilla": 3000, "mt-geneval": 2000, "europarl": 4000}
PARALLEL_ROWS = 151_999
MOST_CHARACTERS = 220
TEACHER_TEMPERATURE = 0.8
TRANSLATED_OF = {"sst3": 9000, "customer-reviews": 4000, "goemotions": 14000, "sst2": 9000, "rt-polarity": 1300}
TRANSLATED_ROWS = 14_336
"""Of those above, taken in random order."""
MOST_WORDS = 38
LEAST_WORDS = {"sst2": 5}
CHUNK = 2048


def write(file: Path, records: Iterator[dict[str, Any]]) -> None:
    """Write the records, through a temporary file."""
    partial = file.with_suffix(".part")
    with partial.open("w", encoding="utf-8") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    partial.replace(file)


def pairs(data: Path) -> dict[str, dict[str, Any]]:
    """English sentences with their source and their translations."""
    found: dict[str, dict[str, Any]] = {}
    for language in FOREIGN:
        with lzma.open(data / f"en-{language}.train.tsv.xz", "rt", encoding="utf-8") as lines:
            for line in lines:
                english, other, source = line.rstrip("\n").split("\t")
                if source in PARALLEL_SOURCES and len(english) < MOST_CHARACTERS:
                    record = found.setdefault(english, {"src": source})
                    record.setdefault(language, []).append(other)
    return found


def parallel(data: Path) -> Iterator[dict[str, Any]]:
    """Pairs with the teacher's probabilities."""
    items = list(pairs(data / "translation").items())
    random.Random(3).shuffle(items)
    counts: Counter[str] = Counter()
    kept = []
    for english, record in items:
        counts[record["src"]] += 1
        if counts[record["src"]] <= MOST_OF.get(record["src"], len(items)):
            kept.append((english, record))
    del kept[PARALLEL_ROWS:]
    teacher = RECIPE.classifier(WEIGHTS / "sentiment", TEACHER_TEMPERATURE)
    for start in range(0, len(kept), CHUNK):
        part = kept[start : start + CHUNK]
        for (english, record), row in zip(part, teacher.probabilities([text for text, _ in part]), strict=True):
            yield {"en": english, "p": [round(float(value), 3) for value in row], **record}
        print(f"{start + len(part)} of {len(kept)} pairs", flush=True)


def translated(data: Path) -> Iterator[dict[str, Any]]:
    """Labelled English rows with their translations."""
    rng = random.Random(17)
    by_source: dict[str, list[tuple[str, str]]] = {source: [] for source in TRANSLATED_OF}
    with lzma.open(data / "sentiment" / "en.train.tsv.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            text, label, source = line.rstrip("\n").split("\t")
            if LEAST_WORDS.get(source, 0) <= len(text.split()) <= MOST_WORDS and len(text) <= MOST_CHARACTERS + 20:
                by_source[source].append((text, label))
    rows = [
        (text, label, source)
        for source, most in TRANSLATED_OF.items()
        for text, label in rng.sample(by_source[source], min(most, len(by_source[source])))
    ]
    rng.shuffle(rows)
    del rows[TRANSLATED_ROWS:]
    engine = Engine(WEIGHTS / "translate", SECTION)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        texts = {code: engine.translate([text for text, _, _ in part], code, 1).texts for code in FOREIGN}
        for place, (text, label, source) in enumerate(part):
            yield {"text": text, "label": label, "source": source, **{code: texts[code][place] for code in FOREIGN}}
        print(f"{start + len(part)} of {len(rows)} rows translated", flush=True)


def main() -> None:
    """Read the options and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    write(arguments.work / "parallel.jsonl", parallel(arguments.data))
    write(arguments.work / "translated.jsonl", translated(arguments.data))


if __name__ == "__main__":
    main()
