"""What can be told to be wrong with a translation without knowing what is right. Cautious: a flag means something.

Knows the two texts and their languages, no models.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Sequence

from server.errors import UnsupportedParameter
from server.tasks.results import Flag
from server.tasks.text.language import closest, detect

LONGEST_RATIO = 3.0
SHORTEST_RATIO = 0.25
"""Target characters to source characters: of 41,736 human translations of test sentences none is outside."""

DENSE = 2.5
"""A Chinese character, a kana or a Korean syllable says as much as so many letters."""

SHORT_CHARACTERS = 30
"""Of shorter sources any length may be right, up to this many characters more."""

COPIED_WORDS = 3
COPIED_RATIO = 0.8
"""A copy has at least so many lower-case words, and this part of them is the source's, in its order."""

SURE = 0.9
SURE_WORDS = 4
"""Another language is told with this probability from this many words on."""

_WORD = re.compile(r"[^\W\d_]+")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def judge(source: str, target: str, language: str, languages: Collection[str], *, looped: bool) -> tuple[Flag, ...]:
    """What is wrong with a translation.

    Args:
        source: the sentence.
        target: its translation, loops already cut.
        language: the language the target should have.
        languages: those it could have.
        looped: the model repeated itself.
    """
    flags: list[Flag] = []
    if looped:
        flags.append("repetition")
    if not _has_sane_length(source, target):
        flags.append("length")
    if _is_copy(source, target):
        flags.append("untranslated")
    elif _is_other_language(target, language, languages):
        flags.append("wrong_language")
    return tuple(flags)


def _has_sane_length(source: str, target: str) -> bool:
    if not target.strip():
        return not _WORD.search(source)
    before, after = _length(source), _length(target)
    if after > LONGEST_RATIO * before + SHORT_CHARACTERS:
        return False
    return before < SHORT_CHARACTERS or after >= SHORTEST_RATIO * before


def _length(text: str) -> float:
    """How much it says, in letters."""
    return len(text) + (DENSE - 1) * len(_DENSE.findall(text))


def _is_copy(source: str, target: str) -> bool:
    """Names may stay as they are, so only words in lower case count."""
    before, after = ([word for word in _WORD.findall(text) if word.islower()] for text in (source, target))
    if min(len(before), len(after)) < COPIED_WORDS:
        return False
    return _in_order(before, after) >= COPIED_RATIO * max(len(before), len(after))


def _in_order(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words of the one are in the other in the same order: the nth of equal words stands for the nth.

    The longest rising sequence of their places, found in n log n steps: texts may be long and all of one word.
    """
    places: dict[str, list[int]] = {}
    for i in range(len(after) - 1, -1, -1):
        places.setdefault(after[i], []).append(i)
    ends: list[int] = []
    """The least place at which a rising sequence of each length ends."""
    for word in before:
        if left := places.get(word):
            place = left.pop()
            at = bisect_left(ends, place)
            ends[at : at + 1] = [place]
    return len(ends)


def _is_other_language(target: str, language: str, languages: Collection[str]) -> bool:
    if len(_WORD.findall(target)) < SURE_WORDS:
        return False
    try:
        expected, found = closest(language, languages), detect(target, languages)
    except UnsupportedParameter:  # the library is missing on this platform: one check less
        return False
    return expected is not None and found is not None and found[0] != expected and found[1] >= SURE
