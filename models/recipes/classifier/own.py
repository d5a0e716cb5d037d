"""A classifier of one's own: `python -m models.recipes.classifier.own --rows FILE --init FOLDER ...`.

Contract: labelled rows (tsv or jsonl) in, a model folder out that the server serves: trained,
converted, calibrated and measured on rows held out. Everything in one command, since a user
has one file and no data folder. It knows nothing of what the labels mean.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch

from models.recipes.classifier.command import fit, training_options
from models.recipes.classifier.convert import convert
from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.metrics import (
    accuracy,
    area_under_curve,
    best_f1_threshold,
    calibration_error,
    fitted_sigmoid_temperature,
    fitted_temperature,
    macro_f1,
)
from models.recipes.classifier.recipe import Calibration, Recipe, SourceTerms
from models.recipes.classifier.report import Figure, Measured, write_card
from models.recipes.classifier.rows import Row, label_names, read_rows, targets_of, write_rows
from models.recipes.classifier.steps import shipped_calibration
from models.recipes.classifier.train import Settings

DEV_SHARE = 0.1
SEED = 3
CARD = """# $id

$summary Made with `python -m models.recipes.classifier.own` from $rows rows of $name.

The figures are of $dev_rows rows that training has not seen, but that also gave the temperature
and the thresholds: a test set of its own would tell more.

$figures
"""


def split(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """A tenth held out, by text, so that a text that is there twice lies on one side."""
    texts = sorted({row.text for row in rows})
    held_out = set(random.Random(SEED).sample(texts, max(1, int(len(texts) * DEV_SHARE))))
    return [row for row in rows if row.text not in held_out], [row for row in rows if row.text in held_out]


def calibration_on(classifier: EngineClassifier, rows: list[Row], settings: Settings) -> Calibration:
    """Temperature and, for independent labels, the threshold with the best F1."""
    logits = classifier.logits([row.text for row in rows])
    truths = targets_of(rows, settings.labels)
    if settings.kind == "softmax":
        return Calibration(fitted_temperature(logits, np.nan_to_num(truths).argmax(axis=1)))
    temperature = fitted_sigmoid_temperature(logits, truths)
    probabilities = 1.0 / (1.0 + np.exp(-logits / temperature))
    thresholds = {
        label: best_f1_threshold(probabilities[:, place], truths[:, place])
        for place, label in enumerate(settings.labels)
        if np.nansum(truths[:, place]) > 0
    }
    return Calibration(temperature, thresholds)


def figures_on(classifier: EngineClassifier, rows: list[Row], settings: Settings) -> list[Figure]:
    """Figures on the held-out rows."""
    probabilities = classifier.probabilities([row.text for row in rows])
    truths = targets_of(rows, settings.labels)
    if settings.kind == "sigmoid":
        return [
            Figure(f"held out, {label}", "AUC", round(score, 4), int((~np.isnan(truths[:, place])).sum()))
            for place, label in enumerate(settings.labels)
            if not np.isnan(score := area_under_curve(probabilities[:, place], truths[:, place]))
        ]
    wanted = np.nan_to_num(truths).argmax(axis=1)
    right = probabilities.argmax(axis=1) == wanted
    found = {
        "accuracy": accuracy(probabilities, wanted),
        "macro-F1": macro_f1(probabilities, wanted),
        "ECE": calibration_error(probabilities.max(axis=1), right),
    }
    return [Figure("held out", metric, round(value, 4), len(rows)) for metric, value in found.items()]


def main() -> None:
    """Read the options and make the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    training_options(parser, Settings((), "softmax", epochs=5))
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--dev", type=Path, help="rows held out; without it, a tenth of --rows")
    parser.add_argument("--out", type=Path, required=True, help="the model folder; its name is the model's id")
    parser.add_argument("--kind", choices=["softmax", "sigmoid"], default="softmax")
    parser.add_argument("--head", help="the head's name; without it, the id")
    parser.add_argument("--license", default="LicenseRef-private")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    name = arguments.out.name
    labels = tuple(label_names(arguments.rows))
    rows = read_rows(arguments.rows, labels)
    training, dev = (rows, read_rows(arguments.dev, labels)) if arguments.dev else split(rows)
    write_rows(arguments.work / "train.jsonl", (Row(row.text, row.labels, arguments.rows.name) for row in training))
    write_rows(arguments.work / "dev.jsonl", dev)
    settings = Settings(labels, arguments.kind)
    print(f"{len(training)} rows to train on, {len(dev)} held out, labels {', '.join(labels)}", flush=True)
    fit(settings, arguments)
    recipe = Recipe(
        id=name,
        head=arguments.head or name,
        labels=labels,
        kind=arguments.kind,
        summary=f"Text classifier: {', '.join(labels)[:200]}.",
        license=arguments.license,
        created_s=int(time.time()),
        sources={arguments.rows.name: SourceTerms(arguments.license, "own data")},
        calibrate=lambda classifier, _: calibration_on(classifier, dev, settings),
    )
    torch.set_num_threads(1)
    convert(recipe, arguments.rows.parent, arguments.work, arguments.out)
    classifier = recipe.classifier(arguments.out, shipped_calibration(arguments.out).temperature)
    figures = figures_on(classifier, dev, settings)
    texts = {"id": name, "summary": recipe.summary, "rows": str(len(training)), "name": arguments.rows.name}
    write_card(arguments.out, CARD, Measured(figures), {**texts, "dev_rows": str(len(dev))})
    for figure in figures:
        print(figure.line())


if __name__ == "__main__":
    main()
