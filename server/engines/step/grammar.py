"""Grammars: which tokens may come next, and which must. The library llguidance does the parsing.

It was chosen since it is maintained, works on any vocabulary given as bytes, computes a mask in microseconds, and is
a wheel of 3 MB without PyTorch behind it.

Its lexer is an automaton that is built as texts need it, and building it costs most of a mask. So completions under one
grammar share one automaton, within a limit; a completion that goes over it has one of its own from there on, with the
library's own limits, so that no completion fails for what others made.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from models.registry import read_card
from models.tokenizers import Tokenizer, load_tokenizer

KEPT_GRAMMARS = 32
OWN: Mapping[str, Any] = {"max_items_in_row": 8_000, "initial_lexer_fuel": 4_000_000}
"""Limits of a completion's own automaton, beside the library's: an optional property of an object takes four items."""
SHARED: Mapping[str, Any] = {**OWN, "max_lexer_states": 10_000}
"""Limits of the automaton that completions under one grammar share: some 10 MB; a usual schema needs hundreds."""
KEPT_SPANS = 4096


class Grammars:
    """Matchers for one model's vocabulary. The library and the tokenizer are loaded with the first one.

    Args:
        folder: the model's.
        shared, own: limits as the library's ``LLParserLimits`` names them, of what completions share and have alone.
    """

    def __init__(self, folder: str, shared: Mapping[str, Any] = SHARED, own: Mapping[str, Any] = OWN) -> None:
        self._folder = Path(folder)
        self._shared, self._own = shared, own
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def begin(self, grammar: str) -> "Matcher":
        """A matcher at the beginning of a completion.

        Raises:
            ValueError: the grammar is none.
        """
        first = self._kept.pop(grammar, None) or self._compile(grammar, self._shared)
        if first.is_error():
            return Matcher(self._compile(grammar, self._own))
        self._kept[grammar] = first
        if len(self._kept) > KEPT_GRAMMARS:
            self._kept.popitem(last=False)

        def alone() -> Any:
            if self._kept.get(grammar) is first:
                del self._kept[grammar]  # the next ones share another
            return self._compile(grammar, self._own)

        return Matcher(first.deep_copy(), alone)

    def _compile(self, grammar: str, limits: Mapping[str, Any]) -> Any:
        from llguidance import LLMatcher, LLParserLimits

        return LLMatcher(self._vocabulary, grammar, log_level=0, limits=LLParserLimits(**limits))

    @cached_property
    def _vocabulary(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        card = read_card(self._folder)
        tokenizer = load_tokenizer(card)
        stops = card.generation.stop_tokens if card.generation is not None else ()
        return LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer, [tokenizer.id(token) for token in stops])))


class Matcher:
    """One completion's place in its grammar.

    Args:
        matcher: the library's, at the beginning.
        alone: makes one that shares nothing, for when the shared one is over its limit.

    Raises:
        ValueError: here, the grammar is none; from the methods, it needs more than the library's limits allow.
    """

    def __init__(self, matcher: Any, alone: Callable[[], Any] | None = None) -> None:
        self._matcher = matcher
        self._alone = alone
        self._taken: list[int] = []
        self._check()

    def mask(self) -> bytes:
        """The tokens that may come next: a bit each, the lowest first, in whole words of 32."""
        bits: bytes = self._ask("compute_bitmask")
        return bits

    def take(self, token: int) -> None:
        """The completion goes on with this token."""
        self._ask("consume_token", token)
        self._taken.append(token)

    def forced(self) -> Sequence[int]:
        """The tokens that must come next, as far as there is no choice; they are taken."""
        tokens: list[int] = self._ask("compute_ff_tokens")
        for token in tokens:
            self.take(token)
        return tokens

    def _ask(self, name: str, *args: int) -> Any:
        answer = getattr(self._matcher, name)(*args)
        if self._matcher.is_error() and self._alone is not None:
            self._matcher, self._alone = self._alone(), None
            self._matcher.consume_tokens(self._taken)
            answer = getattr(self._matcher, name)(*args)
        self._check()
        return answer

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
        self._spans = lru_cache(maxsize=KEPT_SPANS)(self._tokenize)

    def __call__(self, text: str | bytes) -> list[int]:
        """The tokens of a text in the middle of a completion: their bytes are exactly the text's."""
        return list(self._spans(text.encode() if isinstance(text, str) else text))

    def _tokenize(self, raw: bytes) -> Sequence[int]:
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
