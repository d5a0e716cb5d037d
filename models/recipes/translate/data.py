"""Step 1, data: read the shared sentence pairs and write the training rows of both directions.

A training row is `weight, target language, source text, target text`; the weight is the chance
that an epoch takes the row. Adds rows that users' input looks like and the sources lack: joined
sentences, copied lines, light typing noise. Knows nothing about tokens.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.recipes.common import read_tsv_xz
from models.recipes.translate.section import FOREIGN, LANGUAGES

# Everyday sentences first: on few passes over the data, long technical prose would take most of
# the time and teach least about the text this model is for.
SOURCE_WEIGHTS = {
    "tatoeba": 1.0,
    "cocoa-mt": 1.0,
    "bcontrast": 0.7,
    "african-storybook": 0.7,
    "xquad": 0.3,
    "mozilla": 0.2,
    "mt-geneval": 0.2,
    "mlqe-pe": 0.15,
    "europarl": 0.1,
    "pydocs": 0.05,
}
DICTIONARY_WEIGHT = 0.1
EVERYDAY_SOURCES = ("tatoeba", "bcontrast")
COPIED_ROWS = 12_000
OTHER_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One training row."""

    weight: float
    target_language: str
    source: str
    target: str


def read_pairs(data: Path, language: str, part: str) -> Iterator[tuple[str, str, str]]:
    """English, foreign and source (a dictionary's part of speech) of every row of a file of the data folder."""
    for row in read_tsv_xz(data / "translation" / f"en-{language}.{part}.tsv.xz"):
        yield row[0], row[1], row[2]


def both_directions(english: str, foreign: str, language: str, weight: float) -> tuple[Row, Row]:
    """A sentence pair as two rows."""
    return Row(weight, language, english, foreign), Row(weight, "en", foreign, english)


def joined(pairs: list[tuple[str, str]], language: str, rng: random.Random) -> Iterator[Row]:
    """Two or three sentences in one row, as many rows as a thirtieth of the pairs."""
    for _ in range(len(pairs) // 30):
        count = rng.choice((2, 2, 3))
        group = [rng.choice(pairs) for _ in range(count)]
        yield from both_directions(
            " ".join(english for english, _ in group),
            " ".join(foreign for _, foreign in group),
            language,
            1.0,
        )


def typed_carelessly(text: str, rng: random.Random) -> str:
    """One kind of typing noise: lower case, no final mark, or one slip of the finger."""
    kind = rng.randrange(4)
    if kind == 0:
        return text.lower().rstrip(".!?")
    if kind == 1:
        return text.rstrip(".!?")
    if kind == 2:
        return text.lower()
    at = rng.randrange(max(1, len(text) - 1))
    slip = rng.randrange(3)
    if slip == 0:
        return text[:at] + text[at + 1 :]
    if slip == 1:
        return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
    return text[:at] + text[at : at + 1] + text[at:]


def noisy(rows: list[Row], rng: random.Random) -> Iterator[Row]:
    """Some rows again, typed carelessly or in capitals; capitals are answered in capitals."""
    for row in rng.sample(rows, len(rows) // 22):
        source = typed_carelessly(row.source, rng)
        if source.strip():
            yield Row(1.0, row.target_language, source, row.target)
    for row in rng.sample(rows, len(rows) // 120):
        yield Row(1.0, row.target_language, row.source.upper(), row.target.upper())


def copied(names: list[str], count: int, rng: random.Random) -> Iterator[Row]:
    """Lines that must come through unchanged: names, numbers, addresses, code."""
    letters = "abcdefghijklmnopqrstuvwxyz"

    def word() -> str:
        return "".join(rng.choice(letters) for _ in range(rng.randint(3, 9)))

    makers = (
        lambda: f"{rng.choice(names)} {rng.choice(names)}",
        lambda: str(rng.randrange(10 ** rng.randint(1, 9))),
        lambda: f"{rng.randrange(1, 29)}.{rng.randrange(1, 13)}.{rng.randrange(1950, 2040)}",
        lambda: f"https://{word()}.{rng.choice(('com', 'org', 'de', 'fr', 'es'))}/{word()}",
        lambda: f"{word()}@{word()}.{rng.choice(('com', 'org', 'net'))}",
        lambda: f"{word()}_{word()}({word()}={rng.randrange(100)})",
        lambda: f"{word().upper()}-{rng.randrange(10000)}",
    )
    for _ in range(count):
        line = rng.choice(makers)()
        yield Row(1.0, rng.choice(LANGUAGES), line, line)


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
                names.update(w for w in english.split()[1:] if w.istitle() and w.isalpha())
        for english, foreign, _ in read_pairs(data, language, "dictionary"):
            yield from both_directions(english, foreign, language, DICTIONARY_WEIGHT)
        yield from joined(everyday, language, rng)
        yield from noisy(plain, rng)
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
