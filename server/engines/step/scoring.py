"""Log-probabilities of prompts: what the model thinks of tokens that are given, not chosen."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.engines.rows import Token, write_top

CHUNK_TOKENS = 64
"""So many positions' logits are computed at once, of one row or several: each is as long as the vocabulary."""


class Scoring:
    """One prompt's tokens from ``start`` on. A row that is preempted is scored again, with the same result."""

    def __init__(self, prompt: Sequence[int], start: int, top: int) -> None:
        self._prompt = prompt
        self._start = start
        self._top = top
        self._tokens: dict[int, Token] = {}

    def unscored(self, pending: int) -> tuple[int, int]:
        """How many pending tokens come before those whose logits count, and how many of those there are now.

        Args:
            pending: the prompt's tokens that are not computed.
        """
        if len(self._tokens) == len(self._prompt) - self._start:
            return 0, 0
        computed = len(self._prompt) - pending
        before = max(0, self._start - 1 - computed)
        return before, min(CHUNK_TOKENS, pending - 1 - before)

    def take(self, pending: int, logits: npt.NDArray[np.float32]) -> None:
        """The logits of the next positions, shape (n, vocabulary); ``pending`` as it was before them."""
        first = len(self._prompt) - pending + 1
        shifted = logits - logits.max(axis=1, keepdims=True)
        logprobs = shifted - np.log(np.exp(shifted.astype(np.float64)).sum(axis=1, keepdims=True)).astype(np.float32)
        for i, row in enumerate(logprobs):
            place = first + i
            top = b""
            if self._top:
                likeliest = np.argsort(-row, kind="stable")[: self._top]
                top = write_top(likeliest, row[likeliest])
            self._tokens[place] = Token(self._prompt[place], float(row[self._prompt[place]]), top)

    def result(self) -> Sequence[Token]:
        """The tokens, in order."""
        return tuple(self._tokens[place] for place in range(self._start, len(self._prompt)))


@dataclass(frozen=True, slots=True)
class Scored:
    """One row's part in a step that scores."""

    scoring: Scoring
    row: int
    """Its number in the core."""
    pending: int
    count: int
    """How many positions' logits: at most ``CHUNK_TOKENS``."""


def portions(parts: Iterable[Scored]) -> Iterator[list[Scored]]:
    """What is computed together, in order: as many rows as fit ``CHUNK_TOKENS``."""
    portion: list[Scored] = []
    left = CHUNK_TOKENS
    for part in parts:
        if portion and part.count > left:
            yield portion
            portion, left = [], CHUNK_TOKENS
        portion.append(part)
        left -= part.count
    if portion:
        yield portion
