"""A text that is longer than an encoder reads, as chunks that it can read. Nothing is lost and nothing is read twice.

Knows a token counter, nothing of models.
"""

import math
from collections.abc import Callable

from server.tasks.text.clauses import split_long
from server.tasks.text.sentences import segment


def chunk(text: str, language: str, count_tokens: Callable[[str], int], limit_tokens: int) -> list[str]:
    """The text in chunks of at most so many tokens and of like length; joined, they are the text.

    Args:
        text: any text.
        language: ISO 639-1 code of its language.
        count_tokens: how many tokens a text has.
        limit_tokens: the most tokens of a chunk. It ends where a sentence does; within a sentence, at a clause or
            a word, only where the sentence alone is longer than that.
    """
    pieces = [part for each in segment(text, language) for part in split_long(each, count_tokens, limit_tokens)]
    sizes = [count_tokens(piece) for piece in pieces]
    left = sum(sizes)
    chunks: list[str] = []
    held: list[str] = []
    tokens = 0
    for piece, size in zip(pieces, sizes, strict=True):
        share = left / max(1, math.ceil(left / limit_tokens))
        if tokens and size and (tokens + size > limit_tokens or tokens + size / 2 > share):
            chunks.append("".join(held))
            left -= tokens
            held, tokens = [], 0
        held.append(piece)
        tokens += size
    chunks.append("".join(held))
    # Where tokens run across the seam of two pieces, a chunk may have more than its pieces together.
    return [part for each in chunks for part in split_long(each, count_tokens, limit_tokens)]
