"""What a model is asked of calls: whether it can make them, and the grammar that they and other answers obey."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from models.signatures import Signature
from server.errors import InvalidValue, UnsupportedParameter
from server.tasks.call_reader import CallReader
from server.tasks.grammars import Form, checked, require_small, rule, tool_signature
from server.tasks.model import Model


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
    ) -> tuple[Sequence[Signature], str | None]:
        """What the tools may be called with, and what an answer has to obey: calls of them, text of a form, or either.

        Raises:
            InvalidValue: a schema cannot be used.
        """
        functions = [tool["function"] for tool in tools]
        signatures = [_signature(function) for function in functions]
        answer = None if form is None else rule(form)
        if not tools or not self._enforces:
            return signatures, None if form is None else checked(f"start: {answer}", form.name)
        try:
            grammar = self._family.call_grammar(signatures, required=required, several=several, answer=answer)
        except ValueError as error:
            raise InvalidValue(f"The tools cannot be used: {error}.", "tools") from None
        try:
            return signatures, checked(grammar, "tools", self._family.CALL_TOKENS)
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
