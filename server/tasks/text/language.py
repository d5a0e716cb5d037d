"""In which language is a text? Only the languages that are served are candidates.

The library eldc counts byte n-grams in C; load_tests/LANGUAGE_ID.md says why it was taken. Knows nothing of models.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

_SHARPNESS = 14.0
"""Turns the library's scores, each between 0 and 1, into probabilities that hold: expected calibration error 0.01 at
one word, 0.03 at three, 0.01 at ten (load_tests/language_id.py measures it)."""
_CHARACTERS = 2000
"""More tell nothing more about the language."""


@dataclass(frozen=True, slots=True)
class Identified:
    """The likeliest language and how likely it is among the candidates."""

    language: str
    confidence: float


class _Library(Protocol):
    """An instance of the library."""

    def set_languages(self, codes: list[str]) -> list[str]: ...
    def set_scores(self, count: int) -> None: ...
    def detect_details(self, text: str) -> "_Details": ...


class _Details(Protocol):
    scores: dict[str, float]


class LanguageIdentifier:
    """Tells the candidate languages apart."""

    def __init__(self, languages: Collection[str]) -> None:
        """Serve these candidates.

        Args:
            languages: ISO 639-1 codes, at least one.

        Raises:
            ValueError: there is no candidate, or a language that the library does not know.
        """
        import eldc  # 23 MB of tables: only for a server that translates

        if not languages:
            raise ValueError("there is no candidate language")
        unknown = set(languages) - set(eldc.LANGUAGES)
        if unknown:
            raise ValueError(f"languages that cannot be identified: {', '.join(sorted(unknown))}")
        eldc.init()
        self._library: _Library = eldc.instance()
        self._library.set_languages(sorted(languages))
        self._library.set_scores(min(len(languages), eldc.MAX_SCORES))
        self._languages = frozenset(languages)

    @property
    def languages(self) -> frozenset[str]:
        """The candidates."""
        return self._languages

    def identify(self, text: str) -> Identified | None:
        """The language of a text; None when nothing in it tells (no word of any candidate's script)."""
        scores = self._library.detect_details(text[:_CHARACTERS]).scores
        if not scores:
            return None
        # A candidate without a score has none of the text's n-grams: it counts as 0.
        weights = {code: math.exp(_SHARPNESS * scores.get(code, 0.0)) for code in self._languages}
        best = max(sorted(weights), key=lambda code: weights[code])
        return Identified(best, weights[best] / sum(weights.values()))
