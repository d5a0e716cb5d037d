"""Noise for training texts, so that typing errors do not turn a label.

Contract: text in, text out, from a given random generator. It knows nothing of labels.
"""

from __future__ import annotations

import random


def noisy(text: str, rng: random.Random, share: float) -> str:
    """Most texts unchanged; a share of them with a slip of the finger or without punctuation."""
    if rng.random() >= share:
        return text
    if rng.random() < 0.35:
        bare = text.rstrip(" .,!?").replace("'", "")
        return bare or text
    words = text.split(" ")
    for place in rng.sample(range(len(words)), k=max(1, len(words) // 12)):
        words[place] = _mistyped(words[place], rng)
    return " ".join(words)


def _mistyped(word: str, rng: random.Random) -> str:
    """One character dropped, doubled or swapped with the next; short words stay."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    change = rng.randrange(3)
    if change == 0:
        return word[:at] + word[at + 1 :]
    if change == 1:
        return word[:at] + word[at] + word[at:]
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
