"""Tool calls of a model's family: how a completion is held to them, and how they are read out of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from models.signatures import Signature
from models.tokenizers import Tokenizer
from server.errors import InvalidValue, UnsupportedParameter
from server.tasks.generation.grammars import Form, checked, require_small, rule, tool_signature
from server.tasks.model import Model
from server.tasks.results import ToolCall


@dataclass(frozen=True, slots=True)
class CallReader:
    """What begins a call, what ends one, and who reads them.

    A family that can make calls has ``CALL`` (the special token that begins one), ``CALL_TOKENS`` (those written inside
    one), ``MARK`` (what goes before each of them), ``NEVER_WRITTEN`` (those of prompts alone) and ``read_calls``;
    or, where a call is text like any other, ``CALLS_BEGIN``, ``CALL_ENDS``, ``CALLS_COME_FIRST``, ``CALL_TOKENS`` and
    ``parse_calls``.
    """

    call_id: int | None = None
    shown: Mapping[int, str] = field(default_factory=dict)
    """Control tokens that are written out, and how."""
    parse: Callable[[str, bool], Sequence[ToolCall] | None] | None = None
    """The calls of a text; None where it has none after all. With True a limit ended it: no unfinished one is told."""
    stop_ids: frozenset[int] = frozenset()
    """Banned, or else they end the completion: tokens of prompts alone and, without tools, those of calls."""
    marks: tuple[str, ...] = ()
    """Texts that begin a call."""
    only_first: bool = False
    """Whether they do so at the beginning of a completion alone."""
    call_ends: str = ""
    """A text that shows that the call before it is whole."""
    begins_tokens: int = 1
    """How many tokens a completion needs until it shows whether it begins with a call."""

    @staticmethod
    def reads(family: ModuleType) -> bool:
        """Whether it is known how this family calls tools."""
        return hasattr(family, "read_calls") or hasattr(family, "parse_calls")

    @classmethod
    def of(cls, family: ModuleType, tokenizer: Tokenizer, tools: Sequence[Signature]) -> "CallReader":
        """The reader for a request with these tools."""
        if hasattr(family, "parse_calls"):
            return cls._of_text(family, tokenizer, tools) if tools else cls()
        if not hasattr(family, "read_calls"):
            return cls()
        never, inside = (frozenset(map(tokenizer.id, tokens)) for tokens in (family.NEVER_WRITTEN, family.CALL_TOKENS))
        if not tools:
            return cls(stop_ids=never | inside)

        def parse(text: str, cut: bool) -> Sequence[ToolCall]:
            return [ToolCall(call.name, call.arguments) for call in family.read_calls(text, tools, cut=cut)]

        shown = {tokenizer.id(token): family.MARK + token for token in family.CALL_TOKENS}
        call_id = tokenizer.id(family.CALL)
        return cls(call_id, shown, parse, never, call_ends=shown[call_id])

    @classmethod
    def _of_text(cls, family: ModuleType, tokenizer: Tokenizer, tools: Sequence[Signature]) -> "CallReader":
        names = frozenset(tool.name for tool in tools)

        def parse(text: str, cut: bool) -> Sequence[ToolCall] | None:
            calls = family.parse_calls(text, names, cut=cut)
            return None if calls is None else [ToolCall(call.name, call.arguments) for call in calls]

        control = tokenizer.special_tokens
        shown = {control[token]: token for token in family.CALL_TOKENS if token in control}
        first, ends = family.CALLS_COME_FIRST, family.CALL_ENDS
        begins = max(1 if mark in control else len(tokenizer.encode(mark)) for mark in family.CALLS_BEGIN)
        marks = family.CALLS_BEGIN
        return cls(None, shown, parse, marks=marks, only_first=first, call_ends=ends, begins_tokens=begins)


@dataclass(frozen=True, slots=True)
class Ways:
    """The grammars of an answer that is either calls or text of a form.

    The model chooses between calls and text without the form. Under one grammar for both, the model would compare the
    token that begins a call with the bracket that begins JSON. The former is nearly always likelier, even if the model
    would rather write a sentence, so an agent would repeat its call without end.
    """

    undecided: str
    """Calls, or any text."""
    calls: str
    text: str

    def of(self, calls: bool) -> str:
        """The grammar for an answer, once the model has chosen."""
        return self.calls if calls else self.text


class Calling:
    """Calls of one generator's family."""

    def __init__(self, model: Model, family: ModuleType) -> None:
        self._model = model
        self._family = family

    def require(self, tools: Sequence[Mapping[str, Any]], *, required: bool, several: bool) -> None:
        """What a request with tools asks has to be what the model can do.

        Raises:
            UnsupportedParameter: it is not.
        """
        name = self._model.card.id
        if not CallReader.reads(self._family):
            raise UnsupportedParameter("tools", f"how '{name}' calls tools is not known here.")
        if self._enforces:
            return
        if required:
            raise UnsupportedParameter("tool_choice", f"'{name}' cannot be made to call a tool.")
        if not several:
            raise UnsupportedParameter("parallel_tool_calls", f"'{name}' decides how many calls it makes.")
        if any(tool["function"].get("strict") for tool in tools):
            raise UnsupportedParameter("tools.function.strict", f"'{name}' cannot be held to a schema.")

    def prepared(
        self, form: Form | None, tools: Sequence[Mapping[str, Any]], *, required: bool, several: bool
    ) -> "tuple[Sequence[Signature], str | Ways | None]":
        """What the tools may be called with, and what an answer has to obey: calls of them, text of a form, or either.

        Raises:
            InvalidValue: a schema cannot be used.
        """
        functions = [tool["function"] for tool in tools]
        signatures = [_signature(function) for function in functions]
        text = None if form is None else checked(f"start: {rule(form)}", form.name)
        if not tools or not self._enforces:
            return signatures, text
        calls = self._of_calls(functions, signatures, required=required or text is not None, several=several)
        if required or text is None:
            return signatures, calls
        undecided = self._of_calls(functions, signatures, required=False, several=several)
        return signatures, Ways(undecided, calls, text)

    def _of_calls(
        self, functions: Sequence[Mapping[str, Any]], tools: Sequence[Signature], *, required: bool, several: bool
    ) -> str:
        """The grammar of calls of these functions; if none is required, the grammar of any text, too."""
        try:
            grammar = self._family.call_grammar(tools, required=required, several=several)
        except ValueError as error:
            raise InvalidValue(f"The tools cannot be used: {error}.", "tools") from None
        try:
            return checked(grammar, "tools", self._family.CALL_TOKENS)
        except InvalidValue:
            for function in functions:
                with _named(function):
                    require_small(_parameters(function), "tools")
            raise

    @property
    def _enforces(self) -> bool:
        return hasattr(self._family, "call_grammar") and "grammar" in self._model.engine.honours


def _signature(function: Mapping[str, Any]) -> Signature:
    with _named(function):
        return tool_signature(function["name"], _parameters(function), "tools", strict=bool(function.get("strict")))


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return function.get("parameters") or {}


@contextmanager
def _named(function: Mapping[str, Any]) -> Iterator[None]:
    """Have a refusal of its schema name the tool."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(f"The tool '{function['name']}': {error.message}", "tools") from None
