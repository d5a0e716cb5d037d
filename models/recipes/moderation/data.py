"""Step 1, data: `python -m models.recipes.moderation.data --data DIR --work DIR`.

Contract: maps the data sets' labels to the two categories they support, adds harmless text and the
sentences written for groups of people and for the other categories, and writes WORK/train.jsonl and
WORK/dev.jsonl. Only sources that may be shipped are read. It knows nothing of models.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.recipes.classifier.rows import Row, one_label, read_rows, write_rows
from models.recipes.moderation import groups, written
from models.recipes.moderation.harmless import Part, harmless

# The other categories of the moderation API have no training rows, so no label is made for them.
LABELS = ("harassment", "hate", *written.CATEGORIES)
HARMLESS = dict.fromkeys(LABELS, 0)
_MEANT_AS_HARASSMENT = ("harassment", "offensive", "toxic")
# Without caps the largest sources would dominate; most of the tweets are cursing.
_MOST_ROWS = {
    ("davidson-tweets", "harassment"): 7000,
    ("toxic-spans-civil-comments", "harassment"): 5500,
    ("vicomtech-forum", ""): 6000,
    ("germeval2018", ""): 2000,
}
# Training reads the first 96 tokens of a row, so the annotated text must be among them.
_AROUND_CHARACTERS = 110
SEED = 31


def mapped(labels: Mapping[str, int]) -> dict[str, int]:
    """Our categories, as far as the row's annotation covers them."""
    known = {name: labels[name] for name in ("hate", *written.CATEGORIES) if name in labels}
    said = [labels[name] for name in _MEANT_AS_HARASSMENT if name in labels]
    if said:
        known["harassment"] = max(said)
    return known


def moderation_rows(data: Path, part: str) -> list[Row]:
    """The rows of a moderation file with mapped labels, without rows that have no label."""
    rows = read_rows(data / "moderation" / f"{part}.jsonl.xz", LABELS)
    kept = (Row(row.text, mapped(row.labels), row.source) for row in rows)
    return [row for row in kept if row.labels]


def training_rows(data: Path) -> list[Row]:
    """Capped annotated rows, then harmless ones, in a fixed order."""
    rng = random.Random(SEED)
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in moderation_rows(data, "train"):
        is_plain = not row.labels.get("hate") and row.labels.get("harassment")
        positive = "hate" if row.labels.get("hate") else "harassment" if is_plain else ""
        found[row.source, positive].append(row)
    rows: list[Row] = []
    for key in sorted(found):
        group = found[key]
        rows += rng.sample(group, min(len(group), _MOST_ROWS.get(key, len(group))))
    texts = harmless(data, "train")
    return [*rows, *harmless_rows(texts), *group_rows("train"), *written_rows("train", texts_around(texts))]


def development_rows(data: Path) -> list[Row]:
    """The rows that determine the operating points."""
    return [*moderation_rows(data, "dev"), *harmless_rows(harmless(data, "dev")), *written_rows("dev")]


def harmless_rows(texts: Mapping[str, Sequence[str]]) -> list[Row]:
    """Rows that are annotated as none of the categories."""
    return [Row(text, HARMLESS, f"{source} (as harmless)") for source, chosen in texts.items() for text in chosen]


def group_rows(part: groups.Part) -> list[Row]:
    """Made-up rows about groups of people; hateful rows have no label for harassment."""
    return [Row(text, {"hate": 1} if hateful else HARMLESS, "groups") for text, hateful in groups.about_groups(part)]


def written_rows(part: Part, around: Sequence[str] = ()) -> list[Row]:
    """Rows of the written sentences, some among harmless ones; rows of a category have no labels for hate and
    harassment.
    """
    return [
        Row(row.text, one_label(written.CATEGORIES, row.category) if row.has_it else HARMLESS, "written")
        for row in written.written(part, around)
    ]


def texts_around(texts: Mapping[str, Sequence[str]]) -> list[str]:
    """Harmless texts that are short enough to stand beside a written sentence."""
    chosen = (text for source in ("sst3", "mt-geneval", "clinc150", "stories") for text in texts[source])
    return [text for text in chosen if len(text) <= _AROUND_CHARACTERS]


def main() -> None:
    """Read the options and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = training_rows(arguments.data)
    write_rows(arguments.work / "train.jsonl", rows)
    write_rows(arguments.work / "dev.jsonl", development_rows(arguments.data))
    for key, count in sorted(Counter((row.source, str(dict(row.labels))) for row in rows).items()):
        print(*key, count)


if __name__ == "__main__":
    main()
