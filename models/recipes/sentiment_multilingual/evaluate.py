"""Step 6, evaluate: `python -m models.recipes.sentiment_multilingual.evaluate --data DIR --work DIR --out FOLDER`.

Contract: the figures of a converted model on the written sentences and the shared tests, computed as the server
computes, into WORK/figures.json. With `--sample N` it takes N rows of each source and writes nothing.
"""

from __future__ import annotations

from pathlib import Path

from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.recipe import Calibration
from models.recipes.classifier.report import Figure
from models.recipes.classifier.steps import evaluate_command
from models.recipes.sentiment import evaluate as shared
from models.recipes.sentiment_multilingual.recipe import FOREIGN, RECIPE


def measure(classifier: EngineClassifier, _: Calibration, data: Path, sample: int | None) -> list[Figure]:
    """The written sentences and the tweets of each language, then English."""
    figures = shared.written_figures(classifier, [*FOREIGN, "en"]) + shared.tweets(classifier, data, sample)
    return figures + shared.english(classifier, data, sample)


if __name__ == "__main__":
    evaluate_command(RECIPE, measure, __doc__ or "")
