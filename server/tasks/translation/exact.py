"""Checks that a translation keeps the *items* that no translation changes: numbers, units, identifiers and signs.

Each item of the source must be in its translation exactly once, and a model must not invent others. A number may be
written in the way of the target language if its value stays. This module knows no models. Clients send arbitrary texts,
so every pattern here takes time at most proportional to the text.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_PLAIN = r".,;:!?'\"()\-/¿¡"
"""Punctuation that each language sets by its own rules, so it is no item unless it stands alone."""
_ALONE = rf"(?<=\s)[{_PLAIN}](?=\s)"
_ORDINARY = frozenset(" \nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'\"()-/¿¡")
_ONE_SIGN = re.compile(rf"\s[{_PLAIN}]\s")
_ANYTHING = re.compile(rf"\d|[^\w\s{_PLAIN}]|(?<!\w)[^\W\da-zA-Z](?!\w)|{_ALONE}")
_UNITS = (
    r"(?:[kMGT]i?B|[kcmµμn]?m[²³]?|[kmµμ]?g|[mcdh]?l|°[CF]?|º[CF]|[kMG]?Hz|[kMG]?Wh?|m?Ah|k?V|k?J|kcal|[hk]?Pa|bar|psi"
    r"|km/h|mph|dB|dpi|px|rpm|ms|%|‰|[€$£¥₹]|EUR|USD|GBP|CHF|JPY)"
)
_CURRENCIES = "€$£¥₹"
_GROUPED = r"(?<![\w.,+])(?<!\d[ -])\d{1,3}(?:[ \u00a0\u202f]\d{3}){1,9}(?! ?\w?\d)(?:[.,]\d{1,9})?"
_DIALLED = r"(?<!\w)\d{1,5}(?:[ /-]\d{2,6}){2,6}(?!\w)"
_ITEM = re.compile(
    rf"(?P<grouped>{_GROUPED})|(?P<dialled>{_DIALLED})|(?P<word>(?<!\w)(?:[A-Z]{{1,6}}[-/])?\w{{0,64}}\d\w{{0,64}}(?:[.,:/\-’'·]\w{{0,64}}\d\w{{0,64}}){{0,16}})"
    rf"|(?P<letter>(?<!\w)[^\W\da-zA-Z](?!\w))"
    rf"|(?P<sign>[^\w\s{_PLAIN}]|{_ALONE})"
)
_UNIT_AFTER = re.compile(rf"[ \u00a0\u202f]?(?P<unit>{_UNITS})(?![\w²³])")
_GLUED = re.compile(rf"(\d[\d.,]*)({_UNITS})")
_NUMBER = re.compile(r"\d+(?:[.,\u00a0\u202f ’']\d+)*")
_TIME = re.compile(r"(\d{1,2})(?:[:h](\d\d))?")
_HALF_OF_DAY = re.compile(r"[ \u00a0\u202f]?([aApP])\.?[mM]\b\.?")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th|er|re|ère|e|ème|è|o|a|os|as|s|ern?|te[nrs]?)")
_LETTERS_THAT_ARE_WORDS = {"fr": "àÀôÔ", "es": "áéóÁÉÓ", "pt": "àáéêóôÀÁÉÊÓÔ", "it": "èéàìòÈÉÀÌÒ"}
_QUOTES = "«»‹›“”„‟‚‛‘’"
_OWN_WAY = _QUOTES + "–—…°ºª·.,;:!?'\"()-/¿¡"
"""Signs that a translation may contain more often than its source."""
_SMALL = 12
"""The largest number in a translation that may stand for a number word of its source."""
_NUMBER_WORDS = {
    "en": "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|first|second|third|once|twice|both",
    "de": "ein|eine[rnsm]?|eins|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|(?:ers|zwei)te[rnsm]?",
    "fr": "une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|premi(?:er|ère)|deuxième|midi",
    "es": "un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|primer[oa]?|segund[oa]|mediodía",
    "pt": "uma?|dois|duas|três|quatro|cinco|seis|sete|oito|nove|dez|onze|doze|primeir[oa]|segund[oa]",
}
_SIGN_WORDS = {
    "%": re.compile(r"\bper ?cent|prozent|pour cent|por ci?ento", re.IGNORECASE),
    "€": re.compile(r"\beuro|\bEUR\b", re.IGNORECASE),
    "$": re.compile(r"d[oó]l+ar|\bUSD\b", re.IGNORECASE),
    "£": re.compile(r"\bpounds?\b|pfund|livre|libra|\bGBP\b", re.IGNORECASE),
}
"""Words of a source that a translation may write as this sign."""
_HAS_NUMBER_WORD = {
    language: re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) for language, words in _NUMBER_WORDS.items()
}
_DECIMAL_POINT = frozenset({"en", "ja", "zh", "ko", "th", "he", "hi", "ms"})


@dataclass(frozen=True, slots=True)
class Item:
    """A number, unit, identifier or sign at ``start`` to ``end`` (in characters) of its text."""

    start: int
    end: int
    raw: str
    """The item as it is written. A number is written without its unit."""
    value: str = ""
    """The digits of a number with a point before its decimals. Empty: the translation must write the item the same."""
    is_measure: bool = False
    """Whether the item is a number with a unit or a currency beside it."""


def has_items(text: str) -> bool:
    """Whether the text may have items. False is certain, True is not."""
    if _ORDINARY.issuperset(text) and _ONE_SIGN.search(text) is None:  # a fast answer for most sentences
        return False
    return _ANYTHING.search(text) is not None


def items_of(text: str, language: str) -> list[Item]:
    """All items of a text in this language, in order."""
    if not has_items(text):
        return []
    found: list[Item] = []
    at = 0
    words = _LETTERS_THAT_ARE_WORDS.get(language, "")
    while (match := _ITEM.search(text, at)) is not None:
        start, at = match.span()
        raw = match[0]
        if raw in _QUOTES and not (text[max(start - 1, 0) : start] + text[at : at + 1]).isspace():
            continue  # each language has its own quotation marks around words
        if raw in words if match.lastgroup == "letter" else raw in "?!:;" and language == "fr":
            continue
        if match.lastgroup in ("sign", "letter"):
            found.append(Item(start, at, raw))
            continue
        if (glued := _GLUED.fullmatch(raw)) is not None:
            at -= len(glued[2])
            raw = glued[1]
        ordinal = _ORDINAL.fullmatch(raw)
        number = ordinal[1] if ordinal else raw
        if (half := _HALF_OF_DAY.match(text, at)) is not None and (time := _TIME.fullmatch(number)) is not None:
            at = half.end()
            hour = int(time[1]) % 12 + (12 if half[1] in "pP" else 0)
            found.append(Item(start, at, text[start:at], f"{hour}:{time[2] or '00'}"))
            continue
        unit = _UNIT_AFTER.match(text, at)
        before = text[max(start - 2, 0) : start].strip()
        is_measure = unit is not None or before[-1:] in tuple(_CURRENCIES)
        found.append(Item(start, at, number, _value(number, language), is_measure))
        if unit is not None:
            at = unit.end()
            found.append(Item(unit.start("unit"), at, unit["unit"]))
    return found


def _value(raw: str, language: str) -> str:
    """The digits of a number with a point before its decimals, or a time as ``h:mm``; empty for any other text."""
    if (time := _TIME.fullmatch(raw)) is not None and time[2]:
        return f"{int(time[1])}:{time[2]}"
    if _NUMBER.fullmatch(raw) is None:
        return ""
    separators = [sign for sign in raw if not sign.isdecimal()]
    last = separators[-1] if separators else ""
    decimal = "." if language.partition("-")[0] in _DECIMAL_POINT else ","
    is_decimal = last in (".", ",") and separators.count(last) == 1 and (len(set(separators)) > 1 or last == decimal)
    if last and not is_decimal and any(len(group) != 3 for group in re.split(r"\D", raw)[1:]):
        if last not in ".," or len(separators) > 1:
            return ""  # only groups of three digits make one number
        is_decimal = True
    whole, _, decimals = raw.rpartition(last) if is_decimal else (raw, "", "")
    if len(set(separators[:-1] if is_decimal else separators)) > 1:
        return ""  # no language separates the groups of one number by different signs
    digits = "".join(sign for sign in whole if sign.isdecimal())
    return f"{digits}.{decimals}" if is_decimal else digits


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between the items of a source and those of its translation."""

    missing: Sequence[Item] = ()
    """Items of the source that are not in the translation."""
    invented: bool = False
    """Whether the translation has items that nothing in the source explains."""

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.missing) or self.invented


NONE = Difference()


def difference(source: str, language: str, target: str, target_language: str, *, is_mended: bool = False) -> Difference:
    """Compare the items of a source with those of its translation.

    Args:
        source: a sentence.
        language: the source's language.
        target: the translation.
        target_language: the translation's language.
        is_mended: whether missing items were put into the translation. Then any other number is a leftover of the
            model's own, so it counts as invented even if it may stand for a number word.
    """
    wanted = items_of(source, language)
    made = items_of(target, target_language)
    if not wanted and not made:
        return NONE
    unwritten, left = _without(wanted, made, lambda item: item.raw)
    missing, extra = _without(unwritten, left, lambda item: item.value)
    extra = [item for item in extra if (of := _SIGN_WORDS.get(item.raw)) is None or of.search(source) is None]
    if not extra:
        return Difference(missing)
    known = {item.value for item in wanted if item.value} | {item.raw for item in wanted}
    words = _HAS_NUMBER_WORD.get(language)
    may_be_word = not is_mended and (words is None or words.search(source) is not None)
    return Difference(missing, any(_is_invented(item, known, may_be_word, bool(wanted)) for item in extra))


def _without(
    wanted: Sequence[Item], made: Sequence[Item], key: Callable[[Item], str]
) -> tuple[Sequence[Item], Sequence[Item]]:
    """The items left on each side after items with the same key are removed, one for one.

    A number with a unit or a currency matches only a number that also has a unit or a currency.
    """
    there: dict[tuple[str, bool], list[Item]] = {}
    for item in reversed(made):
        there.setdefault((key(item), item.is_measure), []).append(item)
    missing = []
    for item in wanted:
        found = there.get((key(item), item.is_measure)) or ([] if item.is_measure else there.get((key(item), True)))
        if found and key(item):
            found.pop()
        else:
            missing.append(item)
    return missing, [item for items in there.values() for item in items]


def _is_invented(item: Item, known: set[str], may_be_word: bool, has_items: bool) -> bool:
    """Whether nothing in the source explains this item of the translation."""
    if item.raw in known or item.value in known:
        return True
    if item.raw[:1].isdecimal():
        small = item.value.isdecimal() and int(item.value[:4]) <= _SMALL and not item.is_measure
        return has_items and not (small and may_be_word)
    return len(item.raw) == 1 and not item.raw.isalpha() and item.raw not in _OWN_WAY


def together(text: str, items: Sequence[Item], wanted: Sequence[Item], borders: Sequence[int]) -> list[tuple[int, int]]:
    """The stretches of a text that contain the wanted items with their neighbours.

    A stretch has for example a number with its unit and its currency, or all groups of an account number.

    Args:
        text: a sentence.
        items: all items of the sentence, in order.
        wanted: the items whose stretches are returned.
        borders: ascending places, in characters, that no stretch may contain inside.

    Returns:
        The start and the end of each stretch, in characters, in order.
    """
    found: list[tuple[int, int]] = []
    begin = end = -1
    is_wanted = False
    starts = {item.start for item in wanted}
    for item in items:
        gap = text[end : item.start] if end >= 0 else "no"
        border = bisect_left(borders, end)
        is_cut = border < len(borders) and borders[border] <= item.start
        if gap in ("", " ", "\u00a0", "\u202f") and not is_cut:
            end = item.end
        else:
            if is_wanted:
                found.append((begin, end))
            begin, end, is_wanted = item.start, item.end, False
        is_wanted = is_wanted or item.start in starts
    return [*found, (begin, end)] if is_wanted else found
