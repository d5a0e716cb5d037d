"""``tool_choice``: whether a call has to be made, and of which functions."""

from dataclasses import dataclass
from typing import Any

from server.api.schemas.base import invalid


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
    try:
        if value["type"] == "function":
            return ToolChoice(True, (str(value["function"]["name"]),))
        if value["type"] == "allowed_tools":
            allowed = value["allowed_tools"]
            names = tuple(str(tool["function"]["name"]) for tool in allowed["tools"])
            return ToolChoice(allowed["mode"] == "required", names)
    except (KeyError, TypeError):
        pass
    raise invalid("tool_choice", "send {'type': 'function', 'function': {'name': …}}")
