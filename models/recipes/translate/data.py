"""Step 1, data: read the shared sentence pairs and write the training rows of both directions.

A training row is `weight, target language, source text, target text`; the weight is the chance
that an epoch takes the row. `made` and `dates` add rows that the sources lack. Knows nothing about tokens.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from models.recipes.common import read_tsv_xz
from models.recipes.translate.dates import dated
from models.recipes.translate.made import Row, both_directions, copied, joined, names_in, noisy, renamed, renumbered
from models.recipes.translate.section import FOREIGN

# The chance that an epoch takes a row. Everyday sentences are most of a pass; the long technical and
# parliamentary prose would take most of the time and teaches least.
SOURCE_WEIGHTS = {
    "tatoeba": 0.7,
    "cocoa-mt": 1.0,
    "bcontrast": 1.0,
    "african-storybook": 1.0,
    "xquad": 1.0,
    "mlqe-pe": 1.0,
    "mt-geneval": 0.7,
    "mozilla": 0.5,
    "europarl": 0.4,
    "pydocs": 0.12,
}
DICTIONARY_WEIGHT = 0.15
EVERYDAY_SOURCES = ("tatoeba", "bcontrast")
COPIED_ROWS = 12_000
DATED_PAIRS = 4_000  # of each foreign language
OTHER_WEIGHT = 0.5


def read_pairs(data: Path, language: str, part: str) -> Iterator[tuple[str, str, str]]:
    """English, foreign and source (a dictionary's part of speech) of every row of a file of the data folder."""
    for row in read_tsv_xz(data / "translation" / f"en-{language}.{part}.tsv.xz"):
        yield row[0], row[1], row[2]


def shared_rows(data: Path, rng: random.Random) -> Iterator[Row]:
    """The rows of the data folder, a language after the other, with the made ones."""
    names: set[str] = set()
    for language in FOREIGN:
        everyday: list[tuple[str, str]] = []
        plain: list[Row] = []
        for english, foreign, source in read_pairs(data, language, "train"):
            rows = both_directions(english, foreign, language, SOURCE_WEIGHTS.get(source, OTHER_WEIGHT))
            yield from rows
            if source in EVERYDAY_SOURCES:
                everyday.append((english, foreign))
                plain.extend(rows)
        for english, foreign, _ in read_pairs(data, language, "dictionary"):
            yield from both_directions(english, foreign, language, DICTIONARY_WEIGHT)
        names |= names_in(everyday)
        yield from joined(everyday, language, len(everyday) // 15, rng)
        yield from noisy(plain, rng)
        yield from renamed(rng.sample(everyday, len(everyday) // 2), sorted(names), language, rng)
        yield from renumbered(everyday, language, rng)
        yield from dated(language, DATED_PAIRS, rng)
    yield from copied(sorted(names), COPIED_ROWS, rng)


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
    parser.add_argument("--own", type=own_file, action="append", default=[], metavar="LANGUAGE=FILE", help="own pairs")
    parser.add_argument("--own-times", type=int, default=1, help="how often an epoch sees each own pair")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    count = 0
    with (options.work / "train.tsv").open("w", encoding="utf-8") as out:
        parts = [shared_rows(options.data, rng)] if options.data else []
        parts += [own_rows(file, language, rng) for language, file in options.own for _ in range(options.own_times)]
        for row in itertools.chain(*parts):
            out.write(f"{row.weight}\t{row.target_language}\t{row.source}\t{row.target}\n")
            count += 1
    print(f"{count} rows")


if __name__ == "__main__":
    main()
