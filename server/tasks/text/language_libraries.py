"""The libraries that tell languages apart, each as shares of a text's likelihood.

eldc is the better one in every respect (load_tests/LANGUAGE_ID.md), but has no wheels for Linux on Arm and for Python
3.14; there the requirements name py3langid, which is plain Python.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol

SHARPNESS = 14.0
"""Turns eldc's scores, each between 0 and 1, into probabilities that hold (load_tests/language_id.py)."""
MOST_CHARACTERS = 1000
"""The beginning of a text that py3langid reads; eldc has a limit of its own."""
ELDC_CHARACTERS = 10_000
"""The beginning of a text that eldc is given: it looks at the first thousand or so letters, wherever they are."""
LEAST_SHARE = 0.02
"""Of all languages that py3langid knows: with less for the candidates together, the text is in none of them."""


class Library(Protocol):
    """One of the libraries, loaded."""

    languages: frozenset[str]
    """The ISO 639-1 codes it knows."""

    is_quick: bool
    """Whether it reads a text in much less than a millisecond."""

    def weights(self, text: str, known: Sequence[str]) -> Mapping[str, float]:
        """For each of some known languages how likely the text is in it beside the others, in any unit; empty when
        nothing in the text tells."""


class Eldc:
    """Byte n-grams, counted in C. The library keeps the candidates between two calls, so one text is read at a time."""

    is_quick = True

    def __init__(self) -> None:
        import eldc  # 23 MB of tables: only for a server that translates

        eldc.init()
        self._library = eldc.instance()
        self._lock = threading.Lock()
        self._most = eldc.MAX_SCORES
        self.languages = frozenset(eldc.LANGUAGES)

    def weights(self, text: str, known: Sequence[str]) -> Mapping[str, float]:
        """See `Library`."""
        with self._lock:
            self._library.set_languages(known)
            self._library.set_scores(min(len(known), self._most))
            scores: dict[str, float] = self._library.detect_details(text[:ELDC_CHARACTERS]).scores
        # A candidate without a score has none of the text's n-grams: it counts as 0.
        return {code: math.exp(SHARPNESS * scores.get(code, 0.0)) for code in known} if scores else {}


class Py3langid:
    """Naive Bayes over byte n-grams; 90 MB and seconds to load, and often wrong about a single word."""

    is_quick = False

    def __init__(self) -> None:
        from py3langid import langid

        self._identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
        self.languages = frozenset(self._identifier.labels)

    def weights(self, text: str, known: Sequence[str]) -> Mapping[str, float]:
        """See `Library`."""
        shares = dict(self._identifier.rank(text[:MOST_CHARACTERS]))
        if len(set(shares.values())) <= 2:
            return {}  # none of its n-grams: all alike, or twice that for a language in two scripts
        mine = {code: shares[code] for code in known}
        return mine if sum(mine.values()) >= LEAST_SHARE else {}


@cache
def library() -> Library:
    """The best library that is installed, loaded once.

    Raises:
        ImportError: there is none.
    """
    try:
        return Eldc()
    except ImportError:
        return Py3langid()
