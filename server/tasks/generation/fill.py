"""Filling a gap: the prompt of a text before and a text after. Knows tokens, no requests."""

from collections.abc import Sequence

from models.cards import FillSpec
from models.tokenizers import Tokenizer

_BEFORE = "\u263a"
"""A character that goes before a text so that its first space is its own."""


class Filling:
    """How one model is asked to fill a gap."""

    def __init__(self, spec: FillSpec, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._prefix, self._suffix, self._middle = map(tokenizer.id, (spec.prefix, spec.suffix, spec.middle))
        stops = [tokenizer.id(token) for token in spec.stop_tokens]
        self.stop_ids = frozenset([*stops, self._prefix, self._suffix, self._middle])
        """What ends a filling, beside what ends any completion."""

    def prompt(self, before: str, after: str) -> list[int]:
        """The ids that ask for what belongs between two texts.

        Raises:
            ValueError: a text has a lone surrogate, so it is no Unicode text.
        """
        encode = self._tokenizer.encode
        return [self._prefix, *encode(before), self._suffix, *self._following(after), self._middle]

    def _following(self, text: str) -> Sequence[int]:
        """The ids of a text that is not the first: some tokenizers put a space before that one."""
        if not self._tokenizer.adds_leading_space:
            return self._tokenizer.encode(text)
        head, whole = self._tokenizer.encode(_BEFORE), self._tokenizer.encode(_BEFORE + text)
        return whole[len(head) :] if whole[: len(head)] == head else self._tokenizer.encode(text)
