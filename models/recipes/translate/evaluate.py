"""Step 5, evaluate: BLEU and chrF of every test set in both directions, int8 against float32, beams.

One figure per source of text, never one over a whole file: the sources differ too much. Prints
everything and writes figures.json to --work for the card. `--sample N` takes the first N rows
of each source: a quick look, or a floor for the tests.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import sacrebleu

from models.recipes.translate.data import own_file, read_own_pairs, read_pairs
from models.recipes.translate.engine import Engine
from models.recipes.translate.section import FOREIGN, SECTION
from models.recipes.translate.sheet import read_sheet
from models.registry import sha256_of_file

Pairs = list[tuple[str, str]]
BEAMS = (1, 2, 3, 4, 6)
# News is far from the model's purpose; this many rows of a newstest suffice to measure it.
NEWS_ROWS = 500


@dataclass(frozen=True, slots=True)
class Figure:
    """One test set in one direction."""

    name: str
    bleu: float
    chrf: float
    rows: int
    seconds: float


def read_sets(data: Path, split: str, language: str) -> dict[str, Pairs]:
    """English and foreign sentences by source; those of software are one set, and `test` has the sheet's two topics."""
    sets: dict[str, Pairs] = defaultdict(list)
    for english, foreign, source in read_pairs(data, language, split):
        sets[source].append((english, foreign))
    sets["software"] = [(english, foreign) for english, foreign, _ in read_pairs(data, language, f"software.{split}")]
    if split == "test":
        for topic, texts in read_sheet():
            sets[topic].append((texts["en"], texts[language]))
    return sets


def measure(engine: Engine, name: str, pairs: Pairs, target: str, beam_size: int | None = None) -> Figure:
    """Translate the side of the pairs that is not `target` and compare with the other."""
    sources = [foreign if target == "en" else english for english, foreign in pairs]
    references = [english if target == "en" else foreign for english, foreign in pairs]
    result = engine.translate(sources, target, beam_size)
    bleu = sacrebleu.corpus_bleu(result.texts, [references]).score
    chrf = sacrebleu.corpus_chrf(result.texts, [references]).score
    return Figure(name, round(bleu, 1), round(chrf, 1), len(pairs), round(result.seconds, 2))


def evaluate(
    engine: Engine, data: Path, split: str, *, sample: int = 0, only: str = "", beam_size: int | None = None
) -> list[Figure]:
    """Every set of the split in both directions; `only` takes sets whose name contains it."""
    figures: list[Figure] = []
    for language in FOREIGN:
        for source, pairs in sorted(read_sets(data, split, language).items()):
            used = pairs[:NEWS_ROWS] if source.startswith("newstest") else pairs
            used = used[:sample] if sample else used
            if only in source:
                figures.append(measure(engine, f"{source} en-{language}", used, language, beam_size))
                figures.append(measure(engine, f"{source} {language}-en", used, "en", beam_size))
    return figures


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print figures as they come."""
    print(title, flush=True)
    for figure in figures:
        print(f"  {figure.name:28} BLEU {figure.bleu:5.1f}  chrF {figure.chrf:5.1f}", end="")
        print(f"  {figure.rows} rows, {figure.rows / figure.seconds:.0f} a second", flush=True)


def compare(engine: Engine, exact: Path, data: Path, rows: int, threads: int) -> dict[str, list[Figure]]:
    """Tatoeba dev with several beams, and with the float32 model where `exact` holds one."""
    variants: list[tuple[str, Engine, int]] = [(f"int8, beam {beam}", engine, beam) for beam in BEAMS]
    if exact.exists():
        beam = SECTION.beam_size
        variants.append((f"float32, beam {beam}", Engine(exact, SECTION, threads), beam))
    comparison: dict[str, list[Figure]] = {}
    for name, variant, beam in variants:
        comparison[name] = evaluate(variant, data, "dev", sample=rows, only="tatoeba", beam_size=beam)
        show(f"dev, {name}", comparison[name])
    return comparison


def own_figures(engine: Engine, language: str, file: Path) -> list[Figure]:
    """A user's held-out pairs in both directions."""
    pairs = read_own_pairs(file)
    return [measure(engine, f"en-{language}", pairs, language), measure(engine, f"{language}-en", pairs, "en")]


def main() -> None:
    """Measure and print; what the card needs goes to figures.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with translation/; left out: own pairs only")
    parser.add_argument("--work", type=Path, required=True, help="holds float32/ of the convert step; may lack it")
    parser.add_argument("--out", type=Path, default=Path("models/weights/translate"), help="the model folder")
    parser.add_argument("--own", type=own_file, action="append", default=[], metavar="LANGUAGE=FILE", help="own pairs")
    parser.add_argument("--sample", type=int, default=0, help="rows of each source; 0 takes all")
    parser.add_argument("--only", default="", help="sources whose name contains this")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--compare-rows", type=int, default=300, help="dev rows for float32 and for each beam; 0: none")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    engine = Engine(options.out, SECTION, options.threads)
    for language, file in options.own:
        show(str(file), own_figures(engine, language, file))
    if not options.data:
        return
    figures = evaluate(engine, options.data, options.split, sample=options.sample, only=options.only)
    show(f"{options.split}, as shipped", figures)
    comparison: dict[str, list[Figure]] = {}
    if options.compare_rows:
        comparison = compare(engine, options.work / "float32", options.data, options.compare_rows, options.threads)
    if options.split == "test" and not options.sample and not options.only:
        record = {
            "model": sha256_of_file(options.out / "model.bin"),
            "figures": [asdict(figure) for figure in figures],
            "comparison": {name: [asdict(figure) for figure in sets] for name, sets in comparison.items()},
        }
        options.work.mkdir(parents=True, exist_ok=True)
        (options.work / "figures.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
