"""Step 4, evaluate: `python -m models.recipes.moderation.evaluate --data DIR --work DIR --out FOLDER`.

Contract: AUC per category and test set, precision and recall at the shipped operating point, and
false alarms on harmless text of kinds that training has not seen, into WORK/figures.json. With
`--sample N` it takes N rows of each source and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.metrics import area_under_curve, precision_recall
from models.recipes.classifier.recipe import Calibration
from models.recipes.classifier.report import Figure
from models.recipes.classifier.rows import Row, sampled, targets_of
from models.recipes.classifier.steps import evaluate_command
from models.recipes.moderation.data import LABELS, group_rows, moderation_rows, written_rows
from models.recipes.moderation.harmless import harmless
from models.recipes.moderation.recipe import RECIPE

Numbers = NDArray[np.floating[Any]]


def measure(classifier: EngineClassifier, calibration: Calibration, data: Path, sample: int | None) -> list[Figure]:
    """OpenAI's samples first: they alone are labelled with the very categories."""
    by_source: dict[str, list[Row]] = {}
    for row in [*moderation_rows(data, "test"), *group_rows("test"), *written_rows("test")]:
        by_source.setdefault(row.source, []).append(row)
    order = sorted(by_source, key=lambda source: (not source.startswith("openai"), source))
    thresholds = calibration.thresholds
    figures: list[Figure] = []
    for source in order:
        rows = sampled(by_source[source], sample)
        probabilities = classifier.probabilities([row.text for row in rows])
        truths = targets_of(rows, LABELS)
        for place, label in enumerate(LABELS):
            if len(set(truths[:, place][~np.isnan(truths[:, place])])) > 1:
                figures += _category(f"{source}, {label}", probabilities[:, place], truths[:, place], thresholds[label])
    return figures + _false_alarms(classifier, data, thresholds, sample)


def _category(name: str, scores: Numbers, truths: Numbers, threshold: float) -> list[Figure]:
    known = int((~np.isnan(truths)).sum())
    precision, recall = precision_recall(scores >= threshold, truths)
    found = {"AUC": area_under_curve(scores, truths), "precision": precision, "recall": recall}
    return [Figure(name, metric, round(value, 4), known) for metric, value in found.items()]


def _false_alarms(
    classifier: EngineClassifier, data: Path, thresholds: Mapping[str, float], sample: int | None
) -> list[Figure]:
    limits = np.array([thresholds[label] for label in LABELS])
    figures = []
    flagged_rows, rows = 0.0, 0
    for source, texts in harmless(data, "test").items():
        chosen = texts if sample is None else texts[:sample]
        flagged = (classifier.probabilities(chosen) >= limits).any(axis=1)
        figures.append(Figure(f"harmless, {source}", "share flagged", round(float(flagged.mean()), 4), len(chosen)))
        flagged_rows, rows = flagged_rows + float(flagged.sum()), rows + len(chosen)
    return [Figure("harmless text of six kinds", "share flagged", round(flagged_rows / rows, 4), rows), *figures]


if __name__ == "__main__":
    evaluate_command(RECIPE, measure, __doc__ or "")
