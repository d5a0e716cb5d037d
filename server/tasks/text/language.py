"""In which language is a text? Only the languages that are served are candidates. Knows nothing of models."""

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
    """A language's code as it is served: without its region where only the language itself is (``de`` for ``de-AT``).

    Letters count in any case, and ``_`` as ``-``. A code that is served in no form comes back as it is.
    """
    known = {each.casefold(): each for each in languages}
    wanted = code.casefold().replace("_", "-")
    return known.get(wanted) or known.get(wanted.partition("-")[0]) or code


def english_name(code: str) -> str:
    """The language's name, with what stands behind its code; the code itself where there is none."""
    language, dash, variant = code.partition("-")
    name = ENGLISH_NAMES.get(language)
    if name is None:
        return code
    return f"{name} ({variant})" if dash else name


SHARPNESS = 14.0
"""Turns eldc's scores, each between 0 and 1, into probabilities that hold (load_tests/language_id.py)."""
MOST_CHARACTERS = 1000
"""The beginning of a text that py3langid reads; eldc has a limit of its own."""
ELDC_CHARACTERS = 10_000
"""The beginning of a text that eldc is given: it looks at the first thousand or so letters, wherever they are."""
FOREIGN, FOREIGN_WORDS = 0.8, 2
"""A text is in a language that is not served with this probability, and from so many words on: of 8,400 sentences in
four served languages none."""
_WORD = re.compile(r"[^\W\d_]+")
LEAST_SHARE = 0.02
"""Of all languages that py3langid knows: with less for the candidates together, the text is in none of them."""


LEAST_RATIO, LEAST_RATIO_OF_FEW, FEW_LETTERS = 0.2, 0.001, 8
"""Of the likeliest of all languages: a candidate with less is not the text's; with fewer letters much less is enough,
for ``lol`` is no Dutch (load_tests/language_id.py)."""
PREFERRED_RATIO = 0.5
"""A preferred candidate is the text's if it is so likely beside the likeliest."""


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
        import eldc  # 23 MB of tables: only for a server that translates or has classifiers that say their languages

        eldc.init()
        self._library = eldc.instance()
        self._lock = threading.Lock()
        self._most = eldc.MAX_SCORES
        self.languages = frozenset(eldc.LANGUAGES)

    def weights(self, text: str, known: Sequence[str]) -> Mapping[str, float]:
        """How likely the text is in each of some known languages, in any unit; empty if nothing tells."""
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
        """How likely the text is in each of some known languages, in any unit; empty if nothing tells."""
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


def recognise(text: str, candidates: Collection[str], preferred: Collection[str] = ()) -> str | None:
    """The language of a text that may be in none of the candidates.

    Args:
        text: see `detect`.
        candidates: see `detect`.
        preferred: those of them that need not be the likeliest, only nearly so.

    Returns:
        The likeliest of the candidates; another language where the text is hardly in any of them; None when nothing in
        the text tells, or no library is installed.
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
    """What `recognise` says of each text; off the event loop where that takes long."""
    return await offload(lambda: [recognise(text, candidates, preferred) for text in texts], effort(texts))


async def tell(texts: Sequence[str], candidates: Collection[str]) -> list[tuple[str, float] | None]:
    """What `detect` says of each text; off the event loop where that takes long."""
    return await offload(lambda: [detect(text, candidates) for text in texts], effort(texts))


def effort(texts: Sequence[str]) -> int:
    """What it takes to tell the languages of texts, in characters as ``offload`` counts them."""
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


def is_foreign(text: str, languages: Collection[str]) -> bool:
    """Whether a text is in a language beside these, as far as can be told quickly: two words or more, with next to
    nothing for any of these. Never without a library that knows many.
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
    """Which of two languages a text is in; None where that cannot be told, for want of a library too."""
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
    """The language of a longer code: ``zh`` of ``zh-Hant``."""
    return code.partition("-")[0]
