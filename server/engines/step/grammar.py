"""Grammars: the tokens that may come next, and the tokens that must. The library llguidance does the parsing.

The library was chosen because it is maintained, works on any vocabulary of bytes, computes a mask in microseconds, and
is a wheel of 3 MB that does not depend on PyTorch.

Its lexer is an automaton that grows with the texts it reads, and this growth is most of the cost of a mask. So all
completions under one grammar share one automaton, up to a limit. A completion that exceeds the limit goes on with its
own automaton and the library's own limits. So no completion fails because of other completions.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.registry import read_card
from models.tokenizers import Tokenizer, load_tokenizer
from server.engines.rows import GenerationRow, Thought

KEPT_GRAMMARS = 32
OWN: Mapping[str, Any] = {"max_items_in_row": 8_000, "initial_lexer_fuel": 4_000_000}
"""The limits of a completion's own automaton that differ from the library's. An optional property takes four items."""
SHARED: Mapping[str, Any] = {**OWN, "max_lexer_states": 10_000}
"""The limits of a shared automaton, which takes about 10 MB then. A usual schema needs hundreds of states."""
KEPT_SPANS = 4096


class Grammars:
    """Matchers for one model's vocabulary. The first matcher loads the library and the tokenizer.

    Args:
        folder: the model's folder.
        shared: the limits of the automaton that completions share, as the library's ``LLParserLimits`` names them.
        own: the limits of a completion's own automaton.
    """

    def __init__(self, folder: str, shared: Mapping[str, Any] = SHARED, own: Mapping[str, Any] = OWN) -> None:
        self._folder = Path(folder)
        self._shared, self._own = shared, own
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def begin(self, row: GenerationRow) -> "Matcher | ThoughtMatcher | None":
        """A matcher at the beginning of a row's completion; None if the row has no grammar and no thought.

        Raises:
            ValueError: the library cannot compile the grammar.
        """
        matcher = self.matcher(row.grammar) if row.grammar is not None else None
        if row.thought is None:
            return matcher
        return ThoughtMatcher(row.thought, matcher, row.stop_ids, self._tokenizer)

    def matcher(self, grammar: str) -> "Matcher":
        """A matcher at the beginning of a text under a grammar.

        Raises:
            ValueError: the library cannot compile the grammar.
        """
        first = self._kept.pop(grammar, None) or self._compile(grammar, self._shared)
        if first.is_error():
            return Matcher(self._compile(grammar, self._own))
        self._kept[grammar] = first
        if len(self._kept) > KEPT_GRAMMARS:
            self._kept.popitem(last=False)

        def alone() -> Any:
            if self._kept.get(grammar) is first:
                del self._kept[grammar]  # later completions share a new automaton
            return self._compile(grammar, self._own)

        return Matcher(first.deep_copy(), alone)

    def _compile(self, grammar: str, limits: Mapping[str, Any]) -> Any:
        from llguidance import LLMatcher, LLParserLimits

        return LLMatcher(self._vocabulary, grammar, log_level=0, limits=LLParserLimits(**limits))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(read_card(self._folder))

    @cached_property
    def _vocabulary(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        card, tokenizer = read_card(self._folder), self._tokenizer
        stops = card.generation.stop_tokens if card.generation is not None else ()
        return LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer, [tokenizer.id(token) for token in stops])))


class Matcher:
    """The state of one completion in its grammar.

    Args:
        matcher: the library's matcher, at the beginning of the text.
        alone: makes a matcher with its own automaton, for use when the shared automaton exceeds its limit.

    Raises:
        ValueError: here: the library cannot compile the grammar. In the methods: the grammar needs more than the
            library's limits allow.
    """

    def __init__(self, matcher: Any, alone: Callable[[], Any] | None = None) -> None:
        self._matcher = matcher
        self._alone = alone
        self._taken: list[int] = []
        self._check()

    def mask(self) -> bytes:
        """The tokens that may come next: one bit for each id, lowest id first, padded to words of 32 bits."""
        bits: bytes = self._ask("compute_bitmask")
        return bits

    def take(self, token: int) -> None:
        """Go on with this token of the completion."""
        self._ask("consume_token", token)
        self._taken.append(token)

    def forced(self) -> Sequence[int]:
        """Take and return the tokens that must come next because the grammar allows no others."""
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


class ThoughtMatcher:
    """The state of one completion in its thought and its answer, under a budget, a grammar of the answer, or both.

    A thought may have any tokens. If the answer has a grammar, the completion cannot end inside the thought. When the
    budget is spent, the matcher forces the tokens that close the thought. If the answer has a grammar, it also forces
    the tokens between thought and answer.

    Args:
        thought: the row's thought.
        answer: the matcher of the answer, at its beginning; None if the answer has no grammar.
        stop_ids: the ids that end a completion.
        tokenizer: the model's tokenizer, which gives the bytes of tokens.

    Raises:
        ValueError: in the methods, as those of `Matcher`.
    """

    def __init__(
        self, thought: Thought, answer: Matcher | None, stop_ids: Collection[int], tokenizer: Tokenizer
    ) -> None:
        self._thought = thought
        self._answer = answer
        self._stop_ids = stop_ids if answer is not None else ()
        self._tokenizer = tokenizer
        self._bits = (tokenizer.vocab_size + 31) // 32 * 32
        self._end = thought.end.encode()
        self._written = b""
        self._left = thought.budget_tokens
        self._due: list[int] = []
        """The tokens that the matcher forces next."""
        self._state: Literal["before", "thought", "answer"] = "before" if thought.begin else "thought"
        self._begun = 0
        if self._state == "thought":
            self._spend(0)

    def mask(self) -> bytes | None:
        """The tokens that may come next, as bits in the form of ``Matcher.mask``; None allows any token."""
        if self._due:
            return self._only(self._due[:1])
        if self._state == "answer":
            return None if self._answer is None else self._answer.mask()
        if self._state == "before":
            if self._answer is None:
                return None
            begin = self._thought.begin[self._begun]
            if self._begun:
                return self._only([begin])
            allowed = self._answer.mask()
            return self._either(allowed, begin)
        return self._all_but(self._stop_ids) if self._stop_ids else None

    def take(self, token: int) -> None:
        """Go on with this token of the completion."""
        if self._due:
            self._due = self._due[1:]
            return
        if self._state == "answer":
            if self._answer is not None:
                self._answer.take(token)
        elif self._state == "before":
            self._take_before(token)
        else:
            self._written = (self._written + self._tokenizer.token_bytes(token))[-4 * len(self._end) - 64 :]
            if token == self._thought.end_id or (self._thought.end_id is None and self._end in self._written):
                self._over(self._thought.after if self._answer is not None else ())
            else:
                self._spend(1)

    def forced(self) -> Sequence[int]:
        """Take and return the tokens that must come next because no others are allowed."""
        due, self._due = self._due, []
        if not due and self._state == "answer" and self._answer is not None:
            return self._answer.forced()
        return due

    def _take_before(self, token: int) -> None:
        if token == self._thought.begin[self._begun]:
            self._begun += 1
            if self._begun == len(self._thought.begin):
                self._state = "thought"
                self._spend(0)
            return
        if self._answer is None and not self._begun and self._tokenizer.token_bytes(token).isspace():
            return
        self._state = "answer"
        if self._answer is not None:
            self._answer.take(token)

    def _spend(self, tokens: int) -> None:
        if self._left is not None:
            self._left -= tokens
            if self._left <= 0:
                self._over(self._thought.close)

    def _over(self, due: Sequence[int]) -> None:
        self._state, self._due = "answer", list(due)

    def _only(self, ids: Sequence[int]) -> bytes:
        return self._packed(np.zeros(self._bits, np.uint8), ids, 1)

    def _all_but(self, ids: Collection[int]) -> bytes:
        return self._packed(np.ones(self._bits, np.uint8), ids, 0)

    def _either(self, mask: bytes, id: int) -> bytes:
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
        return self._packed(bits, [id], 1)

    def _packed(self, bits: npt.NDArray[np.uint8], ids: Collection[int], value: int) -> bytes:
        bits[list(ids)] = value
        return np.packbits(bits, bitorder="little").tobytes()


class _Vocabulary:
    """A tokenizer with the attributes that the library reads."""

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
        """The tokens of a text in the middle of a completion. Their joined bytes are exactly the text's."""
        return list(self._spans(text.encode() if isinstance(text, str) else text))

    def _tokenize(self, raw: bytes) -> Sequence[int]:
        plain = raw.decode("utf-8", "replace")
        # A tokenizer may add a space before a text, or change characters, so encode it after a harmless character.
        for before in (":", ".", "\n"):
            head, whole = self._tokenizer.encode(before), self._tokenizer.encode(before + plain)
            if whole[: len(head)] == head and self._bytes(whole[len(head) :]) == raw:
                return whole[len(head) :]
        return self._greedy(raw)

    def _bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(self.tokens[i] for i in ids)

    def _greedy(self, raw: bytes) -> list[int]:
        """Take the longest matching token again and again. A byte that begins no token is left out."""
        ids, at = [], 0
        while at < len(raw):
            fitting = [n for n in range(min(self._longest, len(raw) - at), 0, -1) if raw[at : at + n] in self._ids]
            if fitting:
                ids.append(self._ids[raw[at : at + fitting[0]]])
            at += fitting[0] if fitting else 1
        return ids
