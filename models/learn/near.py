"""Near copies among texts: one sentence with another name or number, or a greeting before it. Knows no labels."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

NEAR = 0.5
"""Two texts are near copies if their shared words have at least this share of the weight of all their words."""
_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")


def near_copies(texts: Sequence[str]) -> list[int]:
    """For each text the number of its group: the place of the group's first text, of which the others are near copies.

    Rare words weigh more (one plus the logarithm of texts over texts with the word), so the words that differ tell two
    sentences of one template apart. All numbers count as one word. A text that is near to several first texts is in the
    group of the nearest. Near copies of near copies do not count: among some thousand short questions they would
    connect every one with every other.
    """
    sets = [_words(text) for text in texts]
    frequency = Counter(word for words in sets for word in words)
    weight = {word: 1.0 + math.log(len(sets) / count) for word, count in frequency.items()}
    known: dict[frozenset[str], int] = {}
    firsts: dict[str, list[int]] = defaultdict(list)
    for place, words in enumerate(sets):
        if words in known:
            continue
        looked_up = _rarest(words, weight)
        others = sorted({first for word in looked_up for first in firsts[word]})
        shared, nearest = max(((_shared(words, sets[other], weight), -other) for other in others), default=(0.0, 0))
        known[words] = -nearest if shared >= NEAR else place
        if shared < NEAR:
            for word in looked_up:
                firsts[word].append(place)
    return [known[words] for words in sets]


def _words(text: str) -> frozenset[str]:
    """The words without case and with all numbers alike; a text without words is its own."""
    return frozenset(_DIGITS.sub("0", word) for word in _WORD.findall(text.casefold())) or frozenset([text])


def _rarest(words: Iterable[str], weight: dict[str, float]) -> list[str]:
    """The number of rarest words that are compared: two near copies have at least one of them in common.

    What is left weighs less than NEAR of the text, so a text that shares nothing else shares too little. Both texts
    list their words in the same order, so the rarest word that they share is in both lists.
    """
    ordered = sorted(words, key=lambda word: (-weight[word], word))
    left, needed = sum(weight[word] for word in ordered), NEAR * sum(weight[word] for word in ordered)
    taken: list[str] = []
    for word in ordered:
        if left < needed:
            break
        taken.append(word)
        left -= weight[word]
    return taken


def _shared(one: frozenset[str], other: frozenset[str], weight: dict[str, float]) -> float:
    return sum(weight[word] for word in one & other) / sum(weight[word] for word in one | other)
