"""Tool calls of one model: the grammars that make a completion write calls, and the readers that parse them.

A family may define its own syntax of calls (`models.families.hearth_assistant`). Otherwise the server reads the syntax
off the chat template (`models.families.call_finding`), and refuses tools if the template shows none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from models.families.call_forms import CallForm
from models.signatures import Signature
from models.tokenizers import Tokenizer
from server.errors import InvalidValue, UnsupportedParameter
from server.tasks.generation.grammars import Form, checked, require_small, rule, tool_signature
from server.tasks.model import Model
from server.tasks.results import ToolCall

Manner = ModuleType | CallForm | None
"""How a model writes calls: the module of a family with its own syntax, the form of a template, or None if unknown."""


def manner_of(family: ModuleType, form: CallForm | None) -> Manner:
    """The family, if it defines a syntax of calls, or else the form of the chat template."""
    return family if hasattr(family, "read_calls") else form


@dataclass(frozen=True, slots=True)
class CallReader:
    """The tokens and texts that begin and end a call, and the function that parses calls.

    A family with its own syntax defines ``CALL`` (the special token that begins a call), ``CALL_TOKENS`` (the special
    tokens inside a call), ``MARK`` (a text written before each of these tokens), ``NEVER_WRITTEN`` (special tokens that
    stand in prompts only) and ``read_calls``.
    """

    call_id: int | None = None
    shown: Mapping[int, str] = field(default_factory=dict)
    """The texts that control tokens are written out as, by token id."""
    parse: Callable[[str, bool], Sequence[ToolCall] | None] | None = None
    """Parses a text: its calls, or None if it has none after all. The second argument is True if a token limit ended
    the text; the result then leaves out an unfinished call."""
    stop_ids: frozenset[int] = frozenset()
    """Ids of tokens of prompts and, in a request without tools, of calls. The engine never samples them if it honours
    ``logit_bias``; otherwise such a token ends the completion."""
    marks: tuple[str, ...] = ()
    """Texts that begin a call."""
    only_first: bool = False
    """Whether a mark begins a call only at the beginning of a completion."""
    call_ends: str = ""
    """A text that ends each complete call; empty if the syntax has none."""
    begins_tokens: int = 1
    """The number of tokens after which a completion shows whether it begins with a call."""

    @classmethod
    def of(cls, manner: Manner, tokenizer: Tokenizer, tools: Sequence[Signature]) -> "CallReader":
        """The reader for a request with these tools."""
        if isinstance(manner, CallForm):
            return cls._of_form(manner, tokenizer, tools) if tools else cls()
        if manner is None:
            return cls()
        never, inside = (frozenset(map(tokenizer.id, tokens)) for tokens in (manner.NEVER_WRITTEN, manner.CALL_TOKENS))
        if not tools:
            return cls(stop_ids=never | inside)

        def parse(text: str, cut: bool) -> Sequence[ToolCall]:
            return [ToolCall(call.name, call.arguments) for call in manner.read_calls(text, tools, cut=cut)]

        shown = {tokenizer.id(token): manner.MARK + token for token in manner.CALL_TOKENS}
        call_id = tokenizer.id(manner.CALL)
        return cls(call_id, shown, parse, never, call_ends=shown[call_id])

    @classmethod
    def _of_form(cls, form: CallForm, tokenizer: Tokenizer, tools: Sequence[Signature]) -> "CallReader":
        def parse(text: str, cut: bool) -> Sequence[ToolCall] | None:
            calls = form.parse(text, tools, cut=cut)
            return None if calls is None else [ToolCall(call.name, call.arguments) for call in calls]

        control = tokenizer.special_tokens
        begins = max(1 if mark in control else len(tokenizer.encode(mark)) for mark in form.begins)
        return cls(
            None,
            form.shown(control),
            parse,
            marks=form.begins,
            only_first=form.comes_first,
            call_ends=form.ends,
            begins_tokens=begins,
        )


@dataclass(frozen=True, slots=True)
class Ways:
    """The grammars of an answer that is either calls or text of a form, in llguidance's Lark.

    The model chooses between calls and text without the form. Under one grammar for both, the model would compare the
    token that begins a call with the bracket that begins JSON. The former is nearly always likelier, even if the model
    would rather write a sentence, so an agent would repeat its call without end.
    """

    undecided: str
    """The grammar of calls or any text."""
    calls: str
    text: str

    @property
    def either(self) -> str:
        """One grammar for both, for a model that has thought before it chooses."""
        calls = self.calls.replace("start:", "calls:", 1)
        return f"start: calls | said\n{calls}\n{self.text.replace('start:', 'said:', 1)}"

    def of(self, calls: bool) -> str:
        """The grammar for an answer, after the model has chosen calls (True) or text (False)."""
        return self.calls if calls else self.text


class Calling:
    """Checks and prepares the tool calls of one generator."""

    def __init__(self, model: Model, manner: Manner) -> None:
        self._model = model
        self._manner = manner

    def require(self, tools: Sequence[Mapping[str, Any]], *, required: bool, several: bool) -> None:
        """Refuse a request with tools that the model cannot serve.

        Args:
            tools: the request's tools, in OpenAI's form.
            required: the answer must be a call.
            several: the answer may have more than one call.

        Raises:
            UnsupportedParameter: the model's syntax of calls is unknown, or its engine cannot enforce the request.
        """
        name = self._model.card.id
        if self._manner is None:
            why = "its chat template writes no call that could be read back."
            raise UnsupportedParameter("tools", f"how '{name}' calls tools is not known here: {why}")
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
        """The signatures of the tools, and the grammar of the answer.

        The grammar is of calls, of text in the form, or `Ways` if the model may choose; None allows any answer.

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
        """The grammar of calls of these functions. Unless a call is required, the grammar allows any text too."""
        manner, special = self._manner, self._model.tokenizer.special_tokens
        specials: Sequence[str | int]
        try:
            if isinstance(manner, CallForm):
                grammar = manner.grammar(tools, special, required=required, several=several)
                specials = sorted(manner.shown(special))
            else:
                grammar = manner.call_grammar(tools, required=required, several=several)  # type: ignore[union-attr]
                specials = manner.CALL_TOKENS  # type: ignore[union-attr]
        except ValueError as error:
            raise InvalidValue(f"The tools cannot be used: {error}.", "tools") from None
        try:
            return checked(grammar, "tools", specials)
        except InvalidValue:
            for function in functions:
                with _named(function):
                    require_small(_parameters(function), "tools")
            raise

    @property
    def _enforces(self) -> bool:
        return self._manner is not None and "grammar" in self._model.engine.honours


def _signature(function: Mapping[str, Any]) -> Signature:
    with _named(function):
        return tool_signature(function["name"], _parameters(function), "tools", strict=bool(function.get("strict")))


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    return function.get("parameters") or {}


@contextmanager
def _named(function: Mapping[str, Any]) -> Iterator[None]:
    """Put the tool's name into the message of a refusal that is raised inside the context."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(f"The tool '{function['name']}': {error.message}", "tools") from None
