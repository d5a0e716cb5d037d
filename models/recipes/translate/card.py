"""Step 6, card: MODEL_CARD.md and the figures of the manifest, from the results of `evaluate`.

Translates the sheet of user-like inputs with the shipped model. A person's verdict stands beside an output only if the
model still gives exactly the judged output.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from models.recipes.translate import manifest
from models.recipes.translate.engine import Engine
from models.recipes.translate.evaluate import Figure
from models.recipes.translate.section import FOREIGN, SECTION
from models.recipes.translate.sheet import read_sheet
from models.recipes.translate.sources import COPYLEFT, sources
from models.recipes.translate.spec import shipped_weights
from models.registry import sha256_of_file

HERE = Path(__file__).parent
AIMS_BLEU = {"en-de": 26, "en-fr": 33, "en-es": 34, "de-en": 31, "fr-en": 38, "es-en": 39}


@dataclass(frozen=True, slots=True)
class Measured:
    """The evaluate step's results for the model in the folder."""

    figures: list[Figure]
    comparison: dict[str, list[Figure]]


def read_measured(work: Path, folder: Path) -> Measured:
    """The record of the evaluate step.

    Raises:
        SystemExit: the record belongs to another model than the folder's.
    """
    record = json.loads((work / "figures.json").read_text(encoding="utf-8"))
    if record["model"] != sha256_of_file(folder / "model.bin"):
        raise SystemExit("figures.json is of another model: run evaluate on this one first")
    comparison = {name: [Figure(**item) for item in items] for name, items in record.get("comparison", {}).items()}
    return Measured([Figure(**item) for item in record["figures"]], comparison)


def directions() -> list[str]:
    """All directions as figures name them, out of English first."""
    return [f"en-{language}" for language in FOREIGN] + [f"{language}-en" for language in FOREIGN]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def aims_table(figures: list[Figure]) -> str:
    """Tatoeba against the aim."""
    found = {figure.name: figure for figure in figures}
    rows = []
    for direction in directions():
        figure = found[f"tatoeba {direction}"]
        rows.append([direction, f"{figure.bleu}", f"{AIMS_BLEU[direction]}", f"{figure.chrf}", f"{figure.rows}"])
    return table(["direction", "BLEU", "aim", "chrF", "rows"], rows)


def sets_table(figures: list[Figure]) -> str:
    """Every test set, both directions in one row."""
    found = {figure.name: figure for figure in figures}
    rows = []
    for name, out_of in found.items():
        source, _, direction = name.rpartition(" ")
        if direction.startswith("en-"):
            language = direction.removeprefix("en-")
            into = found[f"{source} {language}-en"]
            rows.append(
                [source, language, f"{out_of.rows}", f"{out_of.bleu} / {out_of.chrf}", f"{into.bleu} / {into.chrf}"]
            )
    head = ["test set", "language", "rows", "from English: BLEU / chrF", "into English: BLEU / chrF"]
    return table(head, rows)


def before_table(figures: list[Figure]) -> str:
    """Every test set with the weights that shipped before (`before.tsv`) and with these: BLEU and chrF."""
    found = {figure.name: figure for figure in figures}
    rows = []
    for line in (HERE / "before.tsv").read_text(encoding="utf-8").splitlines():
        name, bleu, chrf = line.split("\t")
        now = found[name]
        rows.append([name, f"{bleu} / {chrf}", f"{now.bleu} / {now.chrf}", f"{now.bleu - float(bleu):+.1f}"])
    return table(["test set", "before: BLEU / chrF", "now: BLEU / chrF", "BLEU"], rows)


def sheet_table(engine: Engine) -> str:
    """The sheet of everyday sentences, one direction each: the outputs of the weights before and of these weights."""
    before = (HERE / "everyday.before.tsv").read_text(encoding="utf-8").splitlines()
    rows = []
    for (_, texts), line in zip(read_sheet(), before, strict=True):
        direction, old = line.split("\t")
        source, target = direction.split("-")
        rows.append([direction, texts[source], old, engine.translate([texts[source]], target).texts[0]])
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return table(["direction", "sentence", "before", "now"], cells)


def comparison_table(comparison: dict[str, list[Figure]]) -> str:
    """int8 against float32 and one beam against another: mean over the directions."""
    rows = []
    for name, figures in comparison.items():
        count = len(figures)
        bleu = sum(figure.bleu for figure in figures) / count
        chrf = sum(figure.chrf for figure in figures) / count
        speed = sum(figure.rows for figure in figures) / sum(figure.seconds for figure in figures)
        rows.append([name, f"{bleu:.2f}", f"{chrf:.2f}", f"{speed:.0f}"])
    return table(["variant", "BLEU, mean", "chrF, mean", "sentences a second"], rows)


def sources_table(rows: Mapping[str, int]) -> str:
    """Every source with its licence and the pairs that were taken of it."""
    shown = [(sources()[name], count) for name, count in rows.items()]
    cells = [[source.name, source.licence, source.origin, f"{count:,}"] for source, count in shown]
    return table(["source", "licence", "origin", "pairs"], cells)


def copyleft_table(rows: Mapping[str, int]) -> str:
    """How many pairs are under a copyleft licence."""
    pairs = Counter[str]()
    for name, count in rows.items():
        pairs[sources()[name].copyleft] += count
    return table(["copyleft", "pairs"], [[level, f"{pairs[level]:,}"] for level in COPYLEFT])


def robustness_table(engine: Engine) -> str:
    """The sheet of inputs with today's outputs."""
    rows = []
    for line in (HERE / "robustness.tsv").read_text(encoding="utf-8").splitlines():
        target, text, judged, verdict = line.split("\t")
        output = engine.translate([text], target).texts[0]
        shown = [cell.replace("|", "\\|") for cell in (text, output)]
        rows.append([target, *shown, verdict if output == judged else "not judged"])
    return table(["to", "input", "output", "verdict"], rows)


def main() -> None:
    """Write the card, then the manifest, which holds the card's checksum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not read here; accepted so that all steps take it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/weights/translate"))
    options = parser.parse_args()
    measured = read_measured(options.work, options.out)
    progress = json.loads((options.work / "progress.json").read_text(encoding="utf-8"))
    shape, _ = shipped_weights(options.out)
    rows = manifest.source_rows(options.work)
    text = Template((HERE / "card.md").read_text(encoding="utf-8")).substitute(
        parameters=f"{manifest.parameter_count(shape) / 1e6:.1f}",
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        width=shape.width,
        vocabulary=shape.vocabulary,
        context=shape.context_tokens,
        beam=SECTION.beam_size,
        training_minutes=f"{progress['spent_s'] / 60:.0f}",
        training_tokens=f"{progress['tokens'] / 1e6:.1f}",
        steps=progress["steps"],
        size_mb=f"{(options.out / 'model.bin').stat().st_size / 1e6:.1f}",
        float_size_mb=f"{(options.work / 'float32' / 'model.bin').stat().st_size / 1e6:.1f}",
        aims=aims_table(measured.figures),
        sets=sets_table(measured.figures),
        comparison=comparison_table(measured.comparison),
        before=before_table(measured.figures),
        sheet=sheet_table(Engine(options.out, SECTION)),
        robustness=robustness_table(Engine(options.out, SECTION)),
        sources=sources_table(rows),
        copyleft=copyleft_table(rows),
    )
    (options.out / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    manifest.write(options.out, rows, shape, measured.figures)


if __name__ == "__main__":
    main()
