"""Step 1, data: read the shared sentence pairs and write the training rows of both directions.

A training row is `weight, target language, source text, target text`; the weight is the chance
that an epoch takes the row. `made` and `dates` add rows that the sources lack. Knows nothing about tokens.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.recipes.common import read_tsv_xz
from models.recipes.translate.amounts import amounts
from models.recipes.translate.dates import dated
from models.recipes.translate.made import Row, both_directions, copied, joined, names_in, noisy, renamed, renumbered
from models.recipes.translate.section import FOREIGN
from models.recipes.translate.sheet import NearCopies, near_the_sheet
from models.recipes.translate.sources import COPYLEFT, Source, allowed, source_of, sources

SOURCE_ROWS = "sources.json"  # in the work folder: how many pairs of each source were taken
PARTS = ("train", "software.train")
DICTIONARIES = ("dictionary", "dictionary2")
EVERYDAY_SOURCES = ("tatoeba", "bcontrast")
# The sources of the made rows with careless typing and capitals.
NOISY_SOURCES = (*EVERYDAY_SOURCES, "ding", "ms-business-central", "chromium", "aosp-apps", "pretix", "vita-min")
COPIED_ROWS = 12_000
DATED_PAIRS = 4_000  # of each foreign language
AMOUNT_PAIRS = 5_000  # of each foreign language
# The sources have many menus and messages of two to four words, and texts with a {placeholder}; epochs take these less
# often.
FRAGMENT_WORDS = 4
FRAGMENT_SHARE = 0.4
MADE_WEIGHT = 0.4


def read_pairs(data: Path, language: str, part: str) -> Iterator[tuple[str, str, str]]:
    """English, foreign and source (a dictionary's part of speech) of every row of a file of the data folder."""
    for row in read_tsv_xz(data / "translation" / f"en-{language}.{part}.tsv.xz"):
        yield row[0], row[1], row[2]


def sourced_pairs(data: Path, language: str, copyleft: str) -> Iterator[tuple[str, str, Source]]:
    """English, foreign and source of all pairs whose copyleft is `copyleft` or less, dictionaries too."""
    for part in PARTS:
        for english, foreign, column in read_pairs(data, language, part):
            source = source_of(column)
            if allowed(source, copyleft):
                yield english, foreign, source
    for name in DICTIONARIES:
        if allowed(sources()[name], copyleft):
            for english, foreign, _ in read_pairs(data, language, name):
                yield english, foreign, sources()[name]


def pair_weight(english: str, source: Source) -> float:
    """The chance that an epoch takes the pair."""
    fragment = len(english.split()) <= FRAGMENT_WORDS and source.name not in (*EVERYDAY_SOURCES, *DICTIONARIES)
    return round(source.weight * (FRAGMENT_SHARE if fragment or "{" in english else 1.0), 4)


def weighed(row: Row, near: NearCopies) -> Row:
    """A made row with the chance that an epoch takes it; none for a near copy of the sheet."""
    copies = row.source in near or row.target in near
    return replace(row, weight=0.0 if copies else row.weight * MADE_WEIGHT)


def shared_rows(data: Path, copyleft: str, counts: Counter[str], rng: random.Random) -> Iterator[Row]:
    """The rows of the data folder, a language after the other, with the made ones; counts the pairs of each source."""
    names: set[str] = set()
    near = near_the_sheet()
    for language in FOREIGN:
        everyday: list[tuple[str, str]] = []
        plain: list[Row] = []
        for english, foreign, source in sourced_pairs(data, language, copyleft):
            if english in near or foreign in near:
                continue
            counts[source.name] += 1
            rows = both_directions(english, foreign, language, pair_weight(english, source))
            yield from rows
            if source.name in EVERYDAY_SOURCES:
                everyday.append((english, foreign))
            if source.name in NOISY_SOURCES:
                plain.extend(rows)
        names |= names_in(everyday)
        made = itertools.chain(
            joined(everyday, language, len(everyday) // 15, rng),
            noisy(plain, rng),
            renamed(rng.sample(everyday, len(everyday) // 2), sorted(names), language, rng),
            renumbered(everyday, language, rng),
            dated(language, DATED_PAIRS, rng),
            amounts(language, sorted(names), AMOUNT_PAIRS, rng),
        )
        yield from (weighed(row, near) for row in made)
    yield from (weighed(row, near) for row in copied(sorted(names), COPIED_ROWS, rng))


def read_own_pairs(file: Path) -> list[tuple[str, str]]:
    """A user's own English and foreign sentences; a line without both is skipped, more columns are ignored."""
    with file.open(encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    pairs = [(row[0].strip(), row[1].strip()) for row in rows if len(row) >= 2]
    return [pair for pair in pairs if all(pair)]


def own_rows(file: Path, language: str, rng: random.Random) -> Iterator[Row]:
    """A user's own pairs in both directions, some of them typed carelessly."""
    rows = [row for pair in read_own_pairs(file) for row in both_directions(*pair, language, 1.0)]
    yield from rows
    yield from noisy(rows, rng)


def own_file(text: str) -> tuple[str, Path]:
    """`de=pairs.tsv` as a language and a file."""
    language, _, file = text.partition("=")
    if language not in FOREIGN or not file:
        raise argparse.ArgumentTypeError(f"write it as LANGUAGE=FILE, with one of {', '.join(FOREIGN)}")
    return language, Path(file)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with translation/; left out: own pairs only")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--copyleft",
        choices=COPYLEFT,
        default="strong",
        help="none: no source under a copyleft licence; weak: MPL at most",
    )
    parser.add_argument("--own", type=own_file, action="append", default=[], metavar="LANGUAGE=FILE", help="own pairs")
    parser.add_argument("--own-times", type=int, default=1, help="how often an epoch sees each own pair")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    count = 0
    counts: Counter[str] = Counter()
    with (options.work / "train.tsv").open("w", encoding="utf-8") as out:
        parts = [shared_rows(options.data, options.copyleft, counts, rng)] if options.data else []
        parts += [own_rows(file, language, rng) for language, file in options.own for _ in range(options.own_times)]
        for row in itertools.chain(*parts):
            out.write(f"{row.weight}\t{row.target_language}\t{row.source}\t{row.target}\n")
            count += 1
    (options.work / SOURCE_ROWS).write_text(json.dumps(dict(counts.most_common())) + "\n", encoding="utf-8")
    print(f"{count} rows")


if __name__ == "__main__":
    main()
