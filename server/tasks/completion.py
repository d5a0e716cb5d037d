"""One choice as its tokens come in: text, stops, log-probabilities, tool calls. No streams, no engine."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from models.tokenizers import Tokenizer
from server.engines.rows import Generated, Token
from server.tasks.results import Delta, ToolCall
from server.tasks.text.calls import CallMarks
from server.tasks.text.detokenise import Detokenizer
from server.tasks.text.stopping import StopStrings
from server.tasks.told import NONE, TokenTexts, Told


@dataclass(frozen=True, slots=True)
class CallReader:
    """How a family's tool calls are read out of a completion.

    A family that can make calls has ``CALL`` (the special token that begins one), ``CALL_TOKENS`` (those
    written inside one), ``NEVER_WRITTEN`` (those of prompts alone), ``tools_from_schemas`` and ``parse_completion``;
    or, where a call is text like any other, ``CALLS_BEGIN``, ``CALLS_COME_FIRST``, ``CALL_TOKENS`` and ``parse_calls``.
    """

    call_id: int | None = None
    shown: frozenset[int] = frozenset()
    parse: Callable[[str], Sequence[ToolCall]] | None = None
    stop_ids: frozenset[int] = frozenset()
    """Banned, or else they end the completion: tokens of prompts alone and, without tools, those of calls."""
    marks: tuple[str, ...] = ()
    """Texts that begin a call."""
    only_first: bool = False
    """Whether they do so at the beginning of a completion alone."""

    @staticmethod
    def reads(family: ModuleType) -> bool:
        """Whether it is known how this family calls tools."""
        return hasattr(family, "parse_completion") or hasattr(family, "parse_calls")

    @classmethod
    def of(cls, family: ModuleType, tokenizer: Tokenizer, tools: Sequence[Mapping[str, Any]] | None) -> "CallReader":
        """The reader for a request with these tools."""
        if hasattr(family, "parse_calls"):
            return cls._of_text(family, tokenizer, tools) if tools else cls()
        if not hasattr(family, "parse_completion"):
            return cls()
        never, shown = (frozenset(map(tokenizer.id, tokens)) for tokens in (family.NEVER_WRITTEN, family.CALL_TOKENS))
        if not tools:
            return cls(stop_ids=never | shown)
        known = family.tools_from_schemas(tools)

        orders = {tool["function"]["name"]: tuple(_properties(tool)) for tool in tools}

        def parse(text: str) -> Sequence[ToolCall]:
            calls = family.parse_completion(text, known).calls
            return [ToolCall(call.name, _in_order(call.arguments, orders.get(call.name, ()))) for call in calls]

        return cls(tokenizer.id(family.CALL), shown, parse, never)

    @classmethod
    def _of_text(cls, family: ModuleType, tokenizer: Tokenizer, tools: Sequence[Mapping[str, Any]]) -> "CallReader":
        names = frozenset(tool["function"]["name"] for tool in tools)

        def parse(text: str) -> Sequence[ToolCall]:
            return [ToolCall(call.name, call.arguments) for call in family.parse_calls(text, names)]

        control = tokenizer.special_tokens
        shown = frozenset(control[token] for token in family.CALL_TOKENS if token in control)
        return cls(None, shown, parse, marks=family.CALLS_BEGIN, only_first=family.CALLS_COME_FIRST)


def _properties(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    return (tool["function"].get("parameters") or {}).get("properties") or {}


def _in_order(arguments: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The arguments as the schema orders them, whatever order the model wrote them in."""
    return {key: arguments[key] for key in (*(key for key in keys if key in arguments), *arguments)}


class Completion:
    """The state of one choice. ``take`` a token, then ``end``; both return what is new, if anything."""

    def __init__(
        self,
        index: int,
        tokenizer: Tokenizer,
        texts: TokenTexts,
        stops: Sequence[str],
        stop_ids: frozenset[int],
        *,
        logprobs: bool,
        reader: CallReader,
        continues_text: bool,
    ) -> None:
        self._index = index
        self._texts = texts
        self._stop_ids = stop_ids
        self._logprobs = logprobs
        self._reader = reader
        self._text = Detokenizer(tokenizer, continues_text=continues_text, shown=reader.shown)
        self._stops = StopStrings(stops)
        self._made_characters = 0
        self._sent_characters = 0
        self._waiting: deque[tuple[int, Token]] = deque()
        self._call: list[str] | None = None
        self._marks = CallMarks(reader.marks, only_first=reader.only_first) if reader.marks else None
        self.tokens = 0
        """Completion tokens so far, the stop token included."""
        self.over = False
        """A stop string was met: the row is to be dropped."""

    def take(self, token: Token) -> Delta | None:
        """One more token."""
        self.tokens += 1
        if token.id in self._stop_ids:
            return None
        if token.id == self._reader.call_id and self._call is None:
            self._call = []
        text = self._text.push(token.id)
        if self._call is not None:
            self._call.append(text)
            return None
        self._made_characters += len(text)
        if self._logprobs and token.logprob is not None:
            self._waiting.append((self._made_characters, token))
        out = self._stops.push(text if self._marks is None else self._marks.push(text))
        if self._stops.matched is not None:
            self.over = True
            return Delta(self._index, out, self._covered(len(out)), finish_reason="stop")
        tokens = self._covered(len(out))
        return Delta(self._index, out, tokens) if out or tokens else None

    def end(self, how: Generated) -> Delta:
        """The row has ended."""
        rest = self._text.finish()
        if self._call is not None and self._reader.parse is not None:
            calls = self._reader.parse("".join([*self._call, rest]))
            if calls:
                return Delta(self._index, calls=calls, finish_reason="tool_calls")
            return Delta(self._index, finish_reason=how.reason)
        calls, rest = self._marked(rest)
        if calls:
            rest = self._stops.push(rest) + self._stops.finish()
            return Delta(self._index, rest, self._covered(len(rest)), calls, finish_reason="tool_calls")
        text = self._stops.push(rest)
        if self._stops.matched is None:
            text += self._stops.finish()
            tokens = Told([token for _, token in self._waiting], self._texts)
            return Delta(self._index, text, tokens, finish_reason=how.reason)
        return Delta(self._index, text, self._covered(len(text)), finish_reason="stop")

    def _marked(self, rest: str) -> tuple[Sequence[ToolCall], str]:
        """The calls that a mark began, and what else there is to say: all of it where they are none after all."""
        if self._marks is None or self._reader.parse is None or self._stops.matched is not None:
            return (), rest
        plain = self._marks.push(rest)
        if self._marks.collected is None:
            return (), plain + self._marks.finish()
        calls = self._reader.parse(self._marks.collected)
        return calls, plain if calls else plain + self._marks.collected

    def _covered(self, characters: int) -> Told:
        """The tokens that end within the text sent so far."""
        self._sent_characters += characters
        covered = []
        while self._waiting and self._waiting[0][0] <= self._sent_characters:
            covered.append(self._waiting.popleft()[1])
        return Told(covered, self._texts) if covered else NONE
