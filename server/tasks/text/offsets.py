"""Where tokens stand in their text, although a tokenizer may have normalised it. Knows no tokenizer."""

import re
from collections.abc import Sequence
from itertools import accumulate

Range = tuple[int, int]

_WORD = re.compile(r"\S+")


def token_offsets(text: str, pieces: Sequence[str]) -> list[Range]:
    """The range of each token.

    Args:
        text: the text.
        pieces: the tokens' texts; one that begins a word begins with a space.

    Returns:
        ranges in order; exact up to normalisation, which moves them within a word.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    groups: list[list[str]] = []
    for piece in pieces:
        if piece.startswith(" ") or not groups:
            groups.append([])
        groups[-1].append(piece.lstrip(" "))
    if len(groups) != len(words):  # normalisation made or unmade a space: spread them evenly
        ends = list(accumulate(len(piece) for piece in pieces))
        scale = len(text) / max(ends[-1] if ends else 1, 1)
        return [(int(a * scale), int(b * scale)) for a, b in zip([0, *ends], ends, strict=False)]
    found = []
    for (start, end), group in zip(words, groups, strict=True):
        at = start
        for piece in group:
            after = min(at + len(piece), end)
            found.append((at, after))
            at = after
    return found
