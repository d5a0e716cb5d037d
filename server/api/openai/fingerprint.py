"""``system_fingerprint``: what a seeded answer depends on besides the request."""

import hashlib
from functools import lru_cache

from models.cards import ModelCard


def fingerprint(card: ModelCard) -> str:
    """A short name for the model's files; another one means that the same seed may give other text."""
    return _short(tuple(sorted(card.files.items())))


@lru_cache(maxsize=64)
def _short(files: tuple[tuple[str, str], ...]) -> str:
    return "fp_" + hashlib.sha256(repr(files).encode()).hexdigest()[:10]
