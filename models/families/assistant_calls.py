"""Parses the assistant's calls into arguments of the types in their tools' schemas.

Control tokens separate the parts of a call. The server writes each control token after a mark that no text has, so a
value with a user's word that spells a control token is still one value.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.families.assistant_grammar import ARGUMENT, CALL, VALUE
from models.signatures import Argument, Signature

MARK = "\x00"
"""The mark before each control token that the server writes out."""
_KINDS: Mapping[type, tuple[str, ...]] = {
    type(None): ("null",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
}


@dataclass(frozen=True, slots=True)
class ReadCall:
    """One call; its arguments are JSON values."""

    name: str
    arguments: Mapping[str, Any]


def read_calls(text: str, tools: Sequence[Signature], *, cut: bool) -> list[ReadCall]:
    """The calls of a completion, starting with the first.

    Args:
        text: the completion, with a mark before each control token.
        tools: the known tools; the arguments of an unknown tool stay text.
        cut: a limit ended the completion, so its last call is unfinished and left out.
    """
    parts = text.split(MARK + CALL)[1:]
    known = {tool.name: {each.name: each for way in reversed(tool.ways) for each in way} for tool in tools}
    calls = []
    for part in parts[:-1] if cut else parts:
        name, *pairs = (each.strip() for each in part.split(MARK + ARGUMENT))
        if not name:
            continue
        arguments = {}
        for pair in pairs:
            key, separator, value = (each.strip() for each in pair.partition(MARK + VALUE))
            if key and separator:
                arguments[key] = _value(value, known.get(name, {}).get(key))
        order = [*known.get(name, {}), *arguments]
        calls.append(ReadCall(name, {key: arguments[key] for key in dict.fromkeys(order) if key in arguments}))
    return calls


def _value(text: str, argument: Argument | None) -> Any:
    """The value that the model wrote, or its text if it does not fit the type."""
    if argument is None:
        return text
    plain = argument.plain
    if plain is not None and not plain.kinds and not plain.literals:
        return text
    try:
        value = json.loads(text.lower() if text in ("True", "False") else text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return text
    if plain is None:
        return value
    is_other = any(kind in plain.kinds for kind in _KINDS.get(type(value), ())) or text in plain.literals
    return value if is_other else text


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
