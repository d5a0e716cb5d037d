"""``tool_choice``: whether a call has to be made, and of which functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.api.schemas.base import invalid, screen

FORM = "send {'type': 'function', 'function': {'name': …}}"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether a call has to be made, and of which functions (None: of any)."""

    required: bool
    names: tuple[str, ...] | None = None


def read_choice(value: str | dict[str, Any]) -> ToolChoice:
    """Read OpenAI's form.

    Raises:
        PydanticCustomError: it is malformed.
    """
    if isinstance(value, str):
        return ToolChoice(value == "required")
    if value.get("type") == "function":
        return ToolChoice(True, (_function(value, "tool_choice."),))
    if value.get("type") == "allowed_tools":
        allowed = _object(screen(value, ("type", "allowed_tools"), where="tool_choice."), "allowed_tools")
        allowed = screen(allowed, ("mode", "tools"), where="tool_choice.allowed_tools.")
        tools, mode = allowed.get("tools"), allowed.get("mode")
        if mode in ("auto", "required") and isinstance(tools, list):
            names = (_function(tool, f"tool_choice.allowed_tools.tools.{i}.") for i, tool in enumerate(tools))
            return ToolChoice(mode == "required", tuple(names))
    raise invalid("tool_choice", FORM)


def _function(value: Any, where: str) -> str:
    """The name of a function that is chosen."""
    if isinstance(value, dict) and value.get("type") == "function":
        function = _object(screen(value, ("type", "function"), where=where), "function")
        name = screen(function, ("name",), where=f"{where}function.").get("name")
        if isinstance(name, str):
            return name
    raise invalid("tool_choice", FORM)


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(found := value.get(name), dict):
        raise invalid("tool_choice", FORM)
    return found
