"""Step 6, evaluate: `python -m models.recipes.sentiment_multilingual.evaluate --data DIR --work DIR --out FOLDER`.

Contract: the figures of a converted model on the written sentences and the shared tests, computed as the server
computes, into WORK/figures.json. With `--sample N` it takes N rows of each source and writes nothing.
"""

from __future__ import annotations

from pathlib import Path

from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.metrics import macro_f1
from models.recipes.classifier.recipe import Calibration
from models.recipes.classifier.report import Figure
from models.recipes.classifier.rows import Row, one_label, targets_of
from models.recipes.classifier.steps import evaluate_command
from models.recipes.sentiment import evaluate as shared
from models.recipes.sentiment.data import LABELS
from models.recipes.sentiment_multilingual.recipe import RECIPE
from models.recipes.sentiment_multilingual.sentences import written


def written_figures(classifier: EngineClassifier) -> list[Figure]:
    """Macro-F1 on the written reviews, complaints and questions of each language."""
    figures = []
    for language in ("de", "fr", "es", "en"):
        rows = [Row(text, one_label(LABELS, label)) for text, label, code in written() if code == language]
        wanted = targets_of(rows, LABELS).argmax(axis=1)
        value = macro_f1(classifier.probabilities([row.text for row in rows]), wanted)
        figures.append(Figure(f"written sentences, {language}", "macro-F1", round(value, 4), len(rows)))
    return figures


def measure(classifier: EngineClassifier, calibration: Calibration, data: Path, sample: int | None) -> list[Figure]:
    """The written sentences, then what the English recipe measures."""
    return [*written_figures(classifier), *shared.measure(classifier, calibration, data, sample)]


if __name__ == "__main__":
    evaluate_command(RECIPE, measure, __doc__ or "")
