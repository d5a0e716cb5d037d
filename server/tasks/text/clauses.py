"""A sentence that is too long for a model, cut where it hurts least. Nothing is lost.

Knows a token counter, nothing of languages.
"""

import re
from collections.abc import Callable, Iterator

# Best places first: the end of a sentence, of a clause, of a phrase, of a word.
_PLACES = (
    re.compile(r"[.!?…。！？]['\"”’»)\]]*\s+|[。！？]"),
    re.compile(r"[;:；：]\s+|\s[–—-]\s+|[；：]"),
    re.compile(r"[,，、]\s+|[)\]]\s+|[，、]"),
    re.compile(r"\s+"),
)
_MIDDLE = 0.2
"""A cut leaves at least this part of the sentence on either side, while there is a place that does."""


def split_long(sentence: str, count_tokens: Callable[[str], int], limit_tokens: int) -> list[str]:
    """The sentence in pieces of at most so many tokens; joined, they are the sentence.

    A word that is too long by itself is cut between characters; a single character never is.
    """
    done: list[str] = []
    todo = [sentence]
    while todo:
        part = todo.pop()
        if len(part) < 2 or count_tokens(part) <= limit_tokens:
            done.append(part)
            continue
        at = _best_cut(part)
        todo += (part[at:], part[:at])
    return done


def _best_cut(text: str) -> int:
    """The place nearest to the middle, of the best kind that has one near it."""
    middle = len(text) / 2
    for near in (_MIDDLE, 0.0):
        for place in _PLACES:
            cuts = [at for at in _ends(place, text) if near * len(text) < at < (1 - near) * len(text)]
            if cuts:
                return min(cuts, key=lambda at: abs(at - middle))
    return len(text) // 2


def _ends(place: re.Pattern[str], text: str) -> Iterator[int]:
    return (match.end() for match in place.finditer(text))
