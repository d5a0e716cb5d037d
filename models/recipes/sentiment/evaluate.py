"""Step 4, evaluate: `python -m models.recipes.sentiment.evaluate --data DIR --work DIR --out FOLDER`.

Contract: the figures of a converted model on the shared tests, computed as the server computes,
into WORK/figures.json. With `--sample N` it takes N rows of each source and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.metrics import accuracy, calibration_error, macro_f1
from models.recipes.classifier.recipe import Calibration
from models.recipes.classifier.report import Figure
from models.recipes.classifier.rows import Row, one_label, read_rows, sampled, targets_of
from models.recipes.classifier.steps import evaluate_command
from models.recipes.sentiment.data import LABELS
from models.recipes.sentiment.recipe import RECIPE
from models.recipes.sentiment.sentences import written

SST2_SOURCE = "sst3-test"
# This source cannot say "neutral": it is measured like SST-2.
BINARY_TEST = "imdb-test"
POLAR = [LABELS.index("negative"), LABELS.index("positive")]

Numbers = NDArray[np.floating[Any]]
Labels = NDArray[np.intp]


def measure(classifier: EngineClassifier, _: Calibration, data: Path, sample: int | None) -> list[Figure]:
    """English per source and pooled, the written sentences, then the other languages."""
    figures = [*english(classifier, data, sample), *written_figures(classifier, ["en"])]
    return figures + tweets(classifier, data, sample)


def written_figures(classifier: EngineClassifier, languages: Sequence[str]) -> list[Figure]:
    """The written reviews, complaints and questions of customers."""
    figures = []
    for language in languages:
        rows = [Row(text, one_label(LABELS, label)) for text, label, code in written() if code == language]
        wanted = targets_of(rows, LABELS).argmax(axis=1)
        probabilities = classifier.probabilities([row.text for row in rows])
        figures.append(_figure(f"written sentences, {language}", "macro-F1", macro_f1(probabilities, wanted), rows))
    return figures


def tweets(classifier: EngineClassifier, data: Path, sample: int | None) -> list[Figure]:
    """Tweets in other languages."""
    figures = []
    for language in ("de", "fr", "es"):
        rows = sampled(read_rows(data / "sentiment" / f"{language}.test-research.tsv.xz", LABELS), sample)
        wanted = targets_of(rows, LABELS).argmax(axis=1)
        probabilities = classifier.probabilities([row.text for row in rows])
        figures.append(_figure(f"umsab-tweets-test, {language}", "macro-F1", macro_f1(probabilities, wanted), rows))
    return figures


def english(classifier: EngineClassifier, data: Path, sample: int | None) -> list[Figure]:
    """The English figures; the main ones first."""
    by_source: dict[str, list[Row]] = {}
    for row in read_rows(data / "sentiment" / "en.test.tsv.xz", LABELS):
        by_source.setdefault(row.source, []).append(row)
    rows = [row for part in by_source.values() for row in sampled(part, sample)]
    sources = np.array([row.source for row in rows])
    wanted = targets_of(rows, LABELS).argmax(axis=1)
    probabilities = classifier.probabilities([row.text for row in rows])

    polar = (sources == SST2_SOURCE) & np.isin(wanted, POLAR)
    figures = [_polar_figure("SST-2 test", probabilities[polar], wanted[polar])]
    three = sources != BINARY_TEST
    figures += _three_class_figures("three-class tests pooled", probabilities[three], wanted[three])
    for source in by_source:
        inside = sources == source
        if source == BINARY_TEST:
            figures.append(_polar_figure(source, probabilities[inside], wanted[inside]))
        else:
            figures += _three_class_figures(source, probabilities[inside], wanted[inside])
    return figures


def _polar_figure(name: str, probabilities: Numbers, wanted: Labels) -> Figure:
    """Accuracy of the choice between negative and positive alone."""
    score = accuracy(probabilities[:, POLAR], (wanted == POLAR[1]).astype(np.intp))
    return _figure(f"{name}, negative or positive", "accuracy", score, wanted)


def _three_class_figures(name: str, probabilities: Numbers, wanted: Labels) -> list[Figure]:
    right = probabilities.argmax(axis=1) == wanted
    return [
        _figure(name, "macro-F1", macro_f1(probabilities, wanted), wanted),
        _figure(name, "accuracy", accuracy(probabilities, wanted), wanted),
        _figure(name, "ECE", calibration_error(probabilities.max(axis=1), right), wanted),
    ]


def _figure(name: str, metric: str, value: float, rows: Sequence[Row] | Labels) -> Figure:
    return Figure(name, metric, round(value, 4), len(rows))


if __name__ == "__main__":
    evaluate_command(RECIPE, measure, __doc__ or "")
