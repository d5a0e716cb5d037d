"""The sheet of everyday sentences, written by hand before training: fifty of support, fifty of travel.

Contract: no training row is a near copy of a sentence of the sheet, in any of its languages, so that the card's results
for the sheet are typical of new sentences.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from models.recipes.translate.section import LANGUAGES

NEAR = 0.6  # shared words over all words of two sentences, from which on one is a near copy of the other
_WORD = re.compile(r"\w+")


def read_sheet() -> list[tuple[str, dict[str, str]]]:
    """Topic and the sentence in every language, row by row."""
    lines = (Path(__file__).parent / "everyday.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return [(topic, dict(zip(LANGUAGES, texts, strict=True))) for topic, *texts in rows]


def words(text: str) -> frozenset[str]:
    """The different words, without case."""
    return frozenset(_WORD.findall(text.casefold()))


class NearCopies:
    """Tells sentences that are nearly one of the given ones."""

    def __init__(self, texts: Iterable[str]) -> None:
        kept = [words(text) for text in texts]
        frequency = Counter(word for text in kept for word in text)
        self._by_word: dict[str, list[frozenset[str]]] = defaultdict(list)
        for text in kept:
            # A near copy holds at least NEAR of the words, so it holds one of any 1 - NEAR of them and one more:
            # the rarest are looked up.
            rarest = sorted(text, key=lambda word: (frequency[word], word))
            for word in rarest[: len(text) - math.ceil(NEAR * len(text)) + 1]:
                self._by_word[word].append(text)

    def __contains__(self, text: str) -> bool:
        own = words(text)
        candidates = (kept for word in own for kept in self._by_word.get(word, ()))
        return any(len(own & kept) >= NEAR * len(own | kept) for kept in candidates)


def near_the_sheet() -> NearCopies:
    """Near copies of the sheet's sentences, whatever their language."""
    return NearCopies(text for _, texts in read_sheet() for text in texts.values())
