"""The convert, evaluate and card commands that the classifiers share.

Contract: a Recipe and a function that measures it; the options --data, --work, --out and, to
measure little and write nothing, --sample. It knows nothing of particular labels.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable
from pathlib import Path

import torch

from models.recipes.classifier.convert import FLOAT32_FOLDER, convert
from models.recipes.classifier.examples import INPUTS, markdown_cell
from models.recipes.classifier.infer import EngineClassifier, EngineEncoder
from models.recipes.classifier.recipe import Calibration, Recipe
from models.recipes.classifier.report import Figure, Measured, compared, load_measured, save_measured, write_card
from models.recipes.classifier.rows import read_rows
from models.recipes.classifier.speed import texts_per_second

Measure = Callable[[EngineClassifier, Calibration, Path, int | None], list[Figure]]
SPEED_ROWS = 300
# float32 takes three times as long, and few rows of each source show the loss of int8.
COMPARED_ROWS = 150


def parsed(description: str) -> argparse.Namespace:
    """The options of a step."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sample", type=int, help="evaluate: this many rows of each source, write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    return arguments


def convert_command(recipe: Recipe, description: str) -> None:
    """Checkpoint to model folder."""
    arguments = parsed(description)
    convert(recipe, arguments.data, arguments.work, arguments.out)


def shipped_calibration(folder: Path) -> Calibration:
    """Temperature and thresholds of a folder's manifest."""
    with (folder / "model.toml").open("rb") as file:
        head = tomllib.load(file)["heads"][0]
    return Calibration(head["temperature"], head.get("thresholds", {}))


def evaluate_command(recipe: Recipe, measure: Measure, description: str) -> None:
    """Figures of the shipped model and, if `convert` left float32 in the work folder, a comparison."""
    arguments = parsed(description)
    calibration = shipped_calibration(arguments.out)
    shipped = recipe.classifier(arguments.out, calibration.temperature)
    figures = measure(shipped, calibration, arguments.data, arguments.sample)
    for figure in figures:
        print(figure.line(), flush=True)
    if arguments.sample is not None:
        return
    measured = Measured(figures, notes={"temperature": calibration.temperature})
    plain_folder = arguments.work / FLOAT32_FOLDER
    if plain_folder.exists():
        plain = recipe.classifier(plain_folder, calibration.temperature)
        few = (measure(model, calibration, arguments.data, COMPARED_ROWS) for model in (shipped, plain))
        measured.comparison.extend(compared(*few))
        texts = [row.text for row in read_rows(arguments.work / "dev.jsonl", recipe.labels)][:SPEED_ROWS]
        for name, folder in (("int8", arguments.out), ("float32", plain_folder)):
            encoder = EngineEncoder(folder, recipe.context_tokens)
            measured.notes[f"{name}_texts_per_s"] = texts_per_second(encoder, texts)
            measured.notes[f"{name}_mb"] = (folder / "model.bin").stat().st_size / 1e6
    save_measured(arguments.work, arguments.out, measured)


def sheet(recipe: Recipe, classifier: EngineClassifier) -> str:
    """The probabilities of thirty inputs, as a Markdown table."""
    lines = [f"| input | {' | '.join(recipe.labels)} |", "|---|" + "---:|" * len(recipe.labels)]
    for text, row in zip(INPUTS, classifier.probabilities(INPUTS), strict=True):
        best = int(row.argmax()) if recipe.kind == "softmax" else -1
        cells = [f"**{value:.2f}**" if place == best else f"{value:.2f}" for place, value in enumerate(row)]
        lines.append(f"| {markdown_cell(text)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def card_command(
    recipe: Recipe, template: Path, description: str, more: Callable[[EngineClassifier], dict[str, str]] | None = None
) -> None:
    """Write figures, sheet and the results of `more` into MODEL_CARD.md and model.toml."""
    arguments = parsed(description)
    measured = load_measured(arguments.work, arguments.out)
    calibration = shipped_calibration(arguments.out)
    sources = [f"| {name} | {terms.license} | {terms.origin} |" for name, terms in recipe.sources.items()]
    classifier = recipe.classifier(arguments.out, calibration.temperature)
    texts = {
        "sheet": sheet(recipe, classifier),
        **(more(classifier) if more else {}),
        "thresholds": ", ".join(f"{name} {value:.2f}" for name, value in calibration.thresholds.items()),
        "sources": "\n".join(["| source | licence | origin |", "|---|---|---|", *sources]),
    }
    write_card(arguments.out, template.read_text(encoding="utf-8"), measured, texts)
