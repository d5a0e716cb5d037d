"""In which language is a text? Only the languages that are served are candidates. Knows nothing of models."""

from collections.abc import Collection, Sequence
from contextlib import suppress

from server.errors import UnsupportedParameter
from server.tasks.aside import SMALL_CHARACTERS, aside, size_of
from server.tasks.text.language_libraries import Library, library


def prepare() -> None:
    """Load the library, where there is one: the first text would wait for it."""
    with suppress(ImportError):
        library()


def detect(text: str, candidates: Collection[str]) -> tuple[str, float] | None:
    """The likeliest language of a text and the probability that it is this one of the candidates.

    Args:
        text: any text, of which the first thousand or so letters count. With eldc a single word is told right in
            about nine of ten cases, three words nearly always.
        candidates: ISO 639-1 codes, or longer ones that begin with one: of ``zh`` and ``zh-Hant`` the first is told.

    Returns:
        None when nothing in the text tells: no word in the script of any candidate.

    Raises:
        UnsupportedParameter: no library is installed.
    """
    tell = _library()
    named = {_base(code): code for code in sorted(candidates, reverse=True)}  # zh before zh-Hant
    known = sorted(named.keys() & tell.languages)
    weights = tell.weights(text, known) if known else {}
    if not weights:
        return None
    best = max(known, key=lambda code: weights[code])
    return named[best], weights[best] / sum(weights.values())


async def tell(texts: Sequence[str], candidates: Collection[str]) -> list[tuple[str, float] | None]:
    """What `detect` says of each text; off the event loop where that takes long."""
    return await aside(lambda: [detect(text, candidates) for text in texts], effort(texts))


def effort(texts: Sequence[str]) -> int:
    """What it takes to tell the languages of texts, in characters as ``aside`` counts them."""
    try:
        is_quick = library().is_quick
    except ImportError:
        is_quick = True
    return size_of(texts) if is_quick else 2 * SMALL_CHARACTERS * len(texts)


def closest(language: str, candidates: Collection[str]) -> str | None:
    """What `detect` would say of a text in this language; None when it does not know the language.

    Raises:
        UnsupportedParameter: see `detect`.
    """
    if _base(language) not in _library().languages:
        return None
    return min((code for code in candidates if _base(code) == _base(language)), default=None)


def _library() -> Library:
    try:
        return library()
    except ImportError:
        why = "this server was installed without a library that detects languages; name the language"
        raise UnsupportedParameter(field="source", why=why) from None


def _base(code: str) -> str:
    """The language of a longer code: ``zh`` of ``zh-Hant``."""
    return code.partition("-")[0]
