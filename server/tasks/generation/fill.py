"""Filling in the middle: prompts of the text before a gap and the text after it. Knows tokens, but no requests."""

from collections.abc import Sequence

from models.cards import FillSpec
from models.tokenizers import Tokenizer

_BEFORE = "\u263a"
"""A character encoded before a text, so that the tokenizer does not add a space to the text's beginning."""


class Filling:
    """Writes the prompts that ask one model to fill a gap."""

    def __init__(self, spec: FillSpec, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._prefix, self._suffix, self._middle = map(tokenizer.id, (spec.prefix, spec.suffix, spec.middle))
        stops = [tokenizer.id(token) for token in spec.stop_tokens]
        self.stop_ids = frozenset([*stops, self._prefix, self._suffix, self._middle])
        """Ids of tokens that end a filling, in addition to the stop tokens of every completion."""

    def prompt(self, before: str, after: str) -> list[int]:
        """The token ids that ask for the text between two texts.

        Raises:
            ValueError: a text contains a lone surrogate, so it is not valid Unicode.
        """
        encode = self._tokenizer.encode
        return [self._prefix, *encode(before), self._suffix, *self._following(after), self._middle]

    def _following(self, text: str) -> Sequence[int]:
        """The ids of the text after the gap, without the space that some tokenizers add before the first word."""
        if not self._tokenizer.adds_leading_space:
            return self._tokenizer.encode(text)
        head, whole = self._tokenizer.encode(_BEFORE), self._tokenizer.encode(_BEFORE + text)
        return whole[len(head) :] if whole[: len(head)] == head else self._tokenizer.encode(text)
