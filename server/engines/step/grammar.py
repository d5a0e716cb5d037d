"""Grammars: which tokens may come next, and which must. The library llguidance does the parsing.

It was chosen since it is maintained, works on any vocabulary given as bytes, computes a mask in microseconds, and is
a wheel of 3 MB without PyTorch behind it.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.registry import read_card
from models.tokenizers import Tokenizer, load_tokenizer


class Grammars:
    """Matchers for one model's vocabulary. The library and the tokenizer are loaded with the first one."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def begin(self, grammar: str) -> "Matcher":
        """A matcher at the beginning of a completion.

        Raises:
            ValueError: the grammar is none.
        """
        from llguidance import LLMatcher

        return Matcher(LLMatcher(self._vocabulary, grammar, log_level=0))

    @cached_property
    def _vocabulary(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        card = read_card(self._folder)
        tokenizer = load_tokenizer(card)
        stops = card.generation.stop_tokens if card.generation is not None else ()
        return LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer, [tokenizer.id(token) for token in stops])))


class Matcher:
    """One completion's place in its grammar."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher
        self._check()

    def mask(self) -> npt.NDArray[np.uint32]:
        """The tokens that may come next: a bit each, the lowest first."""
        bits = self._matcher.compute_bitmask()
        self._check()
        return np.frombuffer(bits, np.uint32)

    def take(self, token: int) -> None:
        """The completion goes on with this token."""
        self._matcher.consume_token(token)
        self._check()

    def forced(self) -> Sequence[int]:
        """The tokens that must come next, as far as there is no choice; they are taken."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        for token in tokens:
            self.take(token)
        return tokens

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ValueError(str(self._matcher.get_error()).splitlines()[0][:300])


class _Vocabulary:
    """A tokenizer as the library wants to see it."""

    def __init__(self, tokenizer: Tokenizer, stop_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self.special_token_ids = sorted(tokenizer.special_tokens.values())
        special = set(self.special_token_ids)
        self.tokens = [
            tokenizer.token(i).encode() if i in special else tokenizer.token_bytes(i)
            for i in range(tokenizer.vocab_size)
        ]
        self._ids = {token: i for i, token in enumerate(self.tokens) if token and i not in special}
        self._longest = max(map(len, self._ids))
        self.eos_token_id = stop_ids[0]
        self.bos_token_id = None

    def __call__(self, text: str | bytes) -> list[int]:
        """The tokens of a text in the middle of a completion: their bytes are exactly the text's."""
        raw = text.encode() if isinstance(text, str) else text
        plain = raw.decode("utf-8", "replace")
        # A tokenizer may put a space before a text, or change characters: something harmless goes before it.
        for before in (":", ".", "\n"):
            head, whole = self._tokenizer.encode(before), self._tokenizer.encode(before + plain)
            if whole[: len(head)] == head and self._bytes(whole[len(head) :]) == raw:
                return whole[len(head) :]
        return self._greedy(raw)

    def _bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(self.tokens[i] for i in ids)

    def _greedy(self, raw: bytes) -> list[int]:
        """The longest token that fits, again and again; a byte that no token begins with is left out."""
        ids, at = [], 0
        while at < len(raw):
            fitting = [n for n in range(min(self._longest, len(raw) - at), 0, -1) if raw[at : at + n] in self._ids]
            if fitting:
                ids.append(self._ids[raw[at : at + fitting[0]]])
            at += fitting[0] if fitting else 1
        return ids
