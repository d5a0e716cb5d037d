"""Log-probabilities of prompts: the model's probabilities of tokens that are given, not chosen."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.engines.rows import Token, write_top

CHUNK_TOKENS = 64
"""The most positions whose logits are computed at once, of one or several rows. Each has one logit for each id."""


class Scoring:
    """The scores of a prompt's tokens from index ``start`` on. A preempted row is scored again, with equal results."""

    def __init__(self, prompt: Sequence[int], start: int, top: int) -> None:
        self._prompt = prompt
        self._start = start
        self._top = top
        self._tokens: dict[int, Token] = {}

    def unscored(self, pending: int) -> tuple[int, int]:
        """The number of pending tokens before the first whose logits are needed, and the number to score next.

        Args:
            pending: the number of the row's tokens that are not computed.
        """
        if len(self._tokens) == len(self._prompt) - self._start:
            return 0, 0
        computed = len(self._prompt) - pending
        before = max(0, self._start - 1 - computed)
        return before, min(CHUNK_TOKENS, pending - 1 - before)

    def take(self, pending: int, logits: npt.NDArray[np.float32]) -> None:
        """Take the logits of the next n positions, shape (n, vocabulary).

        Args:
            pending: the number of pending tokens before these positions were computed.
            logits: float32; row i predicts the token after position i.
        """
        first = len(self._prompt) - pending + 1
        shifted = logits - logits.max(axis=1, keepdims=True)
        logprobs = shifted - np.log(np.exp(shifted.astype(np.float64)).sum(axis=1, keepdims=True)).astype(np.float32)
        for i, row in enumerate(logprobs):
            place = first + i
            top = b""
            if self._top:
                ids = likeliest(row, self._top)
                top = write_top(ids, row[ids])
            self._tokens[place] = Token(self._prompt[place], float(row[self._prompt[place]]), top)

    def result(self) -> Sequence[Token]:
        """The scored tokens, in order."""
        return tuple(self._tokens[place] for place in range(self._start, len(self._prompt)))


def likeliest(logprobs: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    """The ids of the highest log-probabilities, from the highest on; of equal ones the lowest ids, lowest first."""
    if count >= len(logprobs):
        return np.argsort(-logprobs, kind="stable")
    least = np.partition(logprobs, len(logprobs) - count)[len(logprobs) - count]
    above = np.flatnonzero(logprobs > least)
    equal = np.flatnonzero(logprobs == least)[: count - len(above)]
    ids = np.concatenate([above, equal])
    return ids[np.argsort(-logprobs[ids], kind="stable")]


@dataclass(frozen=True, slots=True)
class Scored:
    """One row's part in a step that scores."""

    scoring: Scoring
    row: int
    """The row's number in the core."""
    pending: int
    count: int
    """The number of positions to score, at most ``CHUNK_TOKENS``."""


def portions(parts: Iterable[Scored]) -> Iterator[list[Scored]]:
    """Yield the parts in order, in groups of at most ``CHUNK_TOKENS`` positions that are computed together."""
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
