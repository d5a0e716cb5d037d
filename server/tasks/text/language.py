"""In which language is a text? Only the languages that are served are candidates.

The library eldc counts byte n-grams in C; load_tests/LANGUAGE_ID.md says why it was taken. Knows nothing of models.
"""

import math
from collections.abc import Collection
from typing import Any

from server.errors import UnsupportedParameter

SHARPNESS = 14.0
"""Turns the library's scores, each between 0 and 1, into probabilities that hold (load_tests/language_id.py)."""


def detect(text: str, candidates: Collection[str]) -> tuple[str, float] | None:
    """The likeliest language of a text and the probability that it is this one of the candidates.

    Args:
        text: any text, of which the first thousand or so letters count. A single word is told right in about
            nine of ten cases, three words nearly always.
        candidates: ISO 639-1 codes, or longer ones that begin with one: of ``zh`` and ``zh-Hant`` the first is told.

    Returns:
        None when nothing in the text tells: no word in the script of any candidate.

    Raises:
        UnsupportedParameter: the library is not installed; there are no wheels of it for some platforms.
    """
    eldc = _library()
    named = {_base(code): code for code in sorted(candidates, reverse=True)}  # zh before zh-Hant
    known = sorted(named.keys() & set(eldc.LANGUAGES))
    if not known:
        return None
    eldc.init()  # once; afterwards free
    library = eldc.instance()
    library.set_languages(known)
    library.set_scores(min(len(known), eldc.MAX_SCORES))
    scores: dict[str, float] = library.detect_details(text).scores
    if not scores:
        return None
    # A candidate without a score has none of the text's n-grams: it counts as 0.
    weights = {code: math.exp(SHARPNESS * scores.get(code, 0.0)) for code in known}
    best = max(known, key=lambda code: weights[code])
    return named[best], weights[best] / sum(weights.values())


def closest(language: str, candidates: Collection[str]) -> str | None:
    """What `detect` would say of a text in this language; None when it does not know the language.

    Raises:
        UnsupportedParameter: see `detect`.
    """
    if _base(language) not in _library().LANGUAGES:
        return None
    return min((code for code in candidates if _base(code) == _base(language)), default=None)


def _library() -> Any:
    try:
        import eldc  # 23 MB of tables: only for a server that translates
    except ImportError:
        why = "this server was installed without the library 'eldc', which detects languages; name the language"
        raise UnsupportedParameter(field="source", why=why) from None
    return eldc


def _base(code: str) -> str:
    """The language of a longer code: ``zh`` of ``zh-Hant``."""
    return code.partition("-")[0]
