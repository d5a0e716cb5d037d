"""The model's languages, and the manifest's translation section."""

from __future__ import annotations

from models.cards import TranslationSpec

LANGUAGES = ("en", "de", "fr", "es")
FOREIGN = LANGUAGES[1:]
SECTION = TranslationSpec(
    languages=LANGUAGES,
    pairs=tuple(pair for language in FOREIGN for pair in (("en", language), (language, "en"))),
    target_token="<2{language}>",  # noqa: S106 - a token of the vocabulary, no secret
    beam_size=3,
    max_target_ratio=2.0,
)
