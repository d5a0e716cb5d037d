"""Detects the language of a text among candidates, mostly the languages that are served. Knows nothing of models."""

import math
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Protocol

from server.errors import UnsupportedParameter
from server.tasks.offload import SMALL_CHARACTERS, offload, size_of

ENGLISH_NAMES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "ast": "Asturian", "az": "Azerbaijani", "ba": "Bashkir",
    "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali", "br": "Breton", "bs": "Bosnian", "ca": "Catalan",
    "ceb": "Cebuano", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "ff": "Fula",
    "fi": "Finnish", "fr": "French", "fy": "Frisian", "ga": "Irish", "gd": "Gaelic", "gl": "Galician", "gu": "Gujarati",
    "ha": "Hausa", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "ht": "Haitian", "hu": "Hungarian",
    "hy": "Armenian", "id": "Indonesian", "ig": "Igbo", "ilo": "Ilocano", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "jv": "Javanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada",
    "ko": "Korean", "ku": "Kurdish", "ky": "Kyrgyz", "la": "Latin", "lb": "Luxembourgish", "lg": "Ganda",
    "ln": "Lingala", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mg": "Malagasy", "mi": "Maori",
    "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese",
    "my": "Burmese", "ne": "Nepali", "nl": "Dutch", "nn": "Nynorsk", "no": "Norwegian", "oc": "Occitan", "or": "Odia",
    "pa": "Punjabi", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "rw": "Kinyarwanda", "sd": "Sindhi", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "so": "Somali",
    "sq": "Albanian", "sr": "Serbian", "ss": "Swati", "su": "Sundanese", "sv": "Swedish", "sw": "Swahili",
    "ta": "Tamil", "te": "Telugu", "tg": "Tajik", "th": "Thai", "tl": "Tagalog", "tn": "Tswana", "tr": "Turkish",
    "tt": "Tatar", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "wo": "Wolof", "xh": "Xhosa",
    "yi": "Yiddish", "yo": "Yoruba", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip


def served_code(code: str, languages: Collection[str]) -> str:
    """The served form of a language code: without its region if only the language is served (``de`` for ``de-AT``).

    Upper and lower case are equal, and so are ``_`` and ``-``. A code that is served in no form comes back unchanged.
    """
    known = {each.casefold(): each for each in languages}
    wanted = code.casefold().replace("_", "-")
    return known.get(wanted) or known.get(wanted.partition("-")[0]) or code


def english_name(code: str) -> str:
    """The language's English name, with the variant of its code in brackets; the code itself if it has no name."""
    language, dash, variant = code.partition("-")
    name = ENGLISH_NAMES.get(language)
    if name is None:
        return code
    return f"{name} ({variant})" if dash else name


SHARPNESS = 14.0
"""Turns eldc's scores, each between 0 and 1, into calibrated probabilities (load_tests/language_id.py)."""
MOST_CHARACTERS = 1000
"""The number of characters at the beginning of a text that py3langid reads."""
ELDC_CHARACTERS = 10_000
"""The number of characters at the beginning of a text that eldc gets. It reads about the first thousand letters."""
FOREIGN, FOREIGN_WORDS = 0.8, 2
"""The least probability and number of words of a text that counts as foreign. None of 8,400 sentences in four served
languages did."""
_WORD = re.compile(r"[^\W\d_]+")
LEAST_SHARE = 0.02
"""The least share of all candidates together among all languages that py3langid knows. With a smaller share the text is
in none of the candidates."""


LEAST_RATIO, LEAST_RATIO_OF_FEW, FEW_LETTERS = 0.2, 0.001, 8
"""The least ratio of a candidate's weight to the weight of the likeliest of all languages. A text of fewer letters
needs only the second ratio, because ``lol`` is not Dutch (load_tests/language_id.py)."""
PREFERRED_RATIO = 0.5
"""The least ratio of a preferred candidate's weight to the likeliest candidate's weight."""


class Library(Protocol):
    """A loaded library that detects languages."""

    languages: frozenset[str]
    """The ISO 639-1 codes of the languages that the library knows."""

    is_quick: bool
    """Whether the library reads a text in much less than a millisecond."""

    def weights(self, text: str, known: Sequence[str]) -> Mapping[str, float]:
        """The weight of each of some known languages, proportional to the probability that the text is in it.

        The result is empty if nothing in the text is a sign of a language.
        """


class Eldc:
    """Byte n-grams, counted in C. The library keeps the candidates between calls, so a lock lets it read one text at a
    time."""

    is_quick = True

    def __init__(self) -> None:
        import eldc  # 23 MB of tables: imported only by servers with translators, or classifiers that state languages

        eldc.init()
        self._library = eldc.instance()
        self._lock = threading.Lock()
        self._most = eldc.MAX_SCORES
        self.languages = frozenset(eldc.LANGUAGES)

    def weights(self, text: str, known: Sequence[str]) -> Mapping[str, float]:
        """The weights of some known languages, as ``Library.weights``."""
        with self._lock:
            self._library.set_languages(known)
            self._library.set_scores(min(len(known), self._most))
            scores: dict[str, float] = self._library.detect_details(text[:ELDC_CHARACTERS]).scores
        # A candidate without a score has none of the text's n-grams, so its score counts as 0.
        return {code: math.exp(SHARPNESS * scores.get(code, 0.0)) for code in known} if scores else {}


class Py3langid:
    """Naive Bayes over byte n-grams. It takes 90 MB and seconds to load, and is often wrong about a single word."""

    is_quick = False

    def __init__(self) -> None:
        from py3langid import langid

        self._identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
        self.languages = frozenset(self._identifier.labels)

    def weights(self, text: str, known: Sequence[str]) -> Mapping[str, float]:
        """The weights of some known languages, as ``Library.weights``."""
        shares = dict(self._identifier.rank(text[:MOST_CHARACTERS]))
        if len(set(shares.values())) <= 2:
            return {}  # the text has no known n-gram: all shares are equal, or double for a language in two scripts
        mine = {code: shares[code] for code in known}
        return mine if sum(mine.values()) >= LEAST_SHARE else {}


@cache
def library() -> Library:
    """The best installed library, loaded once.

    Raises:
        ImportError: no library is installed.
    """
    try:
        return Eldc()
    except ImportError:
        return Py3langid()


def prepare() -> None:
    """Load the library if one is installed, so that the first text does not wait for it."""
    with suppress(ImportError):
        library()


def detect(text: str, candidates: Collection[str]) -> tuple[str, float] | None:
    """The likeliest language of a text among the candidates, and its probability among them.

    Args:
        text: any text, of which about the first thousand letters count. With eldc the answer is right for about nine of
            ten single words, and nearly always for three words.
        candidates: ISO 639-1 codes, or longer codes that begin with one. Of ``zh`` and ``zh-Hant`` the result is the
            first.

    Returns:
        None if nothing in the text is a sign of a language, for example if no word is in a candidate's script.

    Raises:
        UnsupportedParameter: no library is installed.
    """
    tell = _library()
    named = {_base(code): code for code in sorted(candidates, reverse=True)}  # zh replaces zh-Hant
    known = sorted(named.keys() & tell.languages)
    weights = tell.weights(text, known) if known else {}
    if not weights:
        return None
    best = max(known, key=lambda code: weights[code])
    return named[best], weights[best] / sum(weights.values())


def recognise(text: str, candidates: Collection[str], preferred: Collection[str] = ()) -> str | None:
    """The language of a text that may be in none of the candidates.

    Args:
        text: any text, as for `detect`.
        candidates: language codes, as for `detect`.
        preferred: candidates that win even if another is up to 1 / ``PREFERRED_RATIO`` times as likely.

    Returns:
        The likeliest candidate, or another language if all candidates are unlikely. None if nothing in the text is a
        sign of a language or no library is installed.
    """
    try:
        library_ = library()
    except ImportError:
        return None
    weights = library_.weights(text, sorted(library_.languages))
    named = {_base(code): code for code in sorted(candidates, reverse=True)}
    known = named.keys() & weights.keys()
    if not known:
        return None
    liking = {code: weights[code] * (1.0 if named[code] not in preferred else 1 / PREFERRED_RATIO) for code in known}
    best, mine = (max(sorted(by), key=lambda code: by[code]) for by in (weights, liking))
    has_many = sum(map(str.isalpha, text[:MOST_CHARACTERS])) >= FEW_LETTERS
    least = LEAST_RATIO if has_many else LEAST_RATIO_OF_FEW
    return named[mine] if weights[mine] >= least * weights[best] else best


async def recognise_all(
    texts: Sequence[str], candidates: Collection[str], preferred: Collection[str]
) -> list[str | None]:
    """The result of `recognise` for each text, in order. Long work runs off the event loop."""
    return await offload(lambda: [recognise(text, candidates, preferred) for text in texts], effort(texts))


async def tell(texts: Sequence[str], candidates: Collection[str]) -> list[tuple[str, float] | None]:
    """The result of `detect` for each text, in order. Long work runs off the event loop.

    Raises:
        UnsupportedParameter: no library is installed.
    """
    return await offload(lambda: [detect(text, candidates) for text in texts], effort(texts))


def effort(texts: Sequence[str]) -> int:
    """The cost of detecting the languages of texts, in characters, for ``offload``."""
    try:
        is_quick = library().is_quick
    except ImportError:
        is_quick = True
    return size_of(texts) if is_quick else 2 * SMALL_CHARACTERS * len(texts)


def closest(language: str, candidates: Collection[str]) -> str | None:
    """The candidate that `detect` returns for a text in this language; None if the library does not know the language.

    Raises:
        UnsupportedParameter: no library is installed.
    """
    if _base(language) not in _library().languages:
        return None
    return min((code for code in candidates if _base(code) == _base(language)), default=None)


def is_foreign(text: str, languages: Collection[str]) -> bool:
    """Whether a text is almost certainly in another language than these.

    That needs two words or more, and tiny weights for all of these languages. Without a quick library the answer is
    always False.
    """
    try:
        tell = library()
    except ImportError:
        return False
    if not tell.is_quick or len(_WORD.findall(text[:ELDC_CHARACTERS])) < FOREIGN_WORDS:
        return False
    weights = tell.weights(text, sorted(tell.languages))
    total = sum(weights.values())
    if not total:
        return False
    mine = max((weights.get(_base(code), 0.0) for code in languages), default=0.0)
    return max(weights.values()) >= FOREIGN * total and mine <= (1 - FOREIGN) / 4 * total


def looks_like(text: str, language: str, other: str) -> str | None:
    """The likelier of two languages for a text; None if nothing shows it or no library is installed."""
    try:
        found = detect(text, (language, other))
    except UnsupportedParameter:
        return None
    return found[0] if found else None


def _library() -> Library:
    try:
        return library()
    except ImportError:
        why = "this server was installed without a library that detects languages; name the language"
        raise UnsupportedParameter(field="source", why=why) from None


def _base(code: str) -> str:
    """The language part of a code: ``zh`` for ``zh-Hant``."""
    return code.partition("-")[0]
