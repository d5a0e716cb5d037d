"""Measured figures of students, found by the SHA-256 of their weights, for the students' cards.

The figures are sacrebleu's BLEU and chrF of a running server on NTREX-128 (1,997 sentences of news, translated by
people); the commands are in ``load_tests/TRANSLATION.md``.
"""

from collections.abc import Mapping
from pathlib import Path

from models.cards import Figure
from models.registry import sha256_of_file

_ROWS = 1997


def _measured(name: str, bleu: float, chrf: float) -> tuple[Figure, ...]:
    return Figure(name, "BLEU", bleu, _ROWS), Figure(name, "chrF", chrf, _ROWS)


KNOWN: Mapping[str, tuple[Figure, ...]] = {
    "d968735704c75e33c2e183b9241f14c0b2a560d01d88a2728e5c0119a4d7fb22": (
        *_measured("ntrex-128 en-pt, Brazil", 37.2, 62.5),
        *_measured("ntrex-128 en-pt, Portugal", 32.1, 58.8),
    ),
    "6c3b7af01772022a19712410c63342ba581468c2f1aac34d7488409c4043e697": (
        *_measured("ntrex-128 pt-en, Brazil", 37.1, 62.2),
        *_measured("ntrex-128 pt-en, Portugal", 36.3, 62.9),
    ),
}


def known_figures(weights: Path) -> tuple[Figure, ...]:
    """The figures of a file of weights; empty if nobody measured these weights."""
    return KNOWN.get(sha256_of_file(weights), ())
