"""Turns the schema of a tool's parameters into a `Signature`: the arguments that the tool may be called with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.signatures import Argument, Plain, Signature
from server.errors import InvalidValue
from server.tasks.json_schema.library import OPTIONS
from server.tasks.json_schema.parts import ANY, List, Null, Number, Object, Part, State, Text, Truth
from server.tasks.json_schema.writing import Writing

MOST_WAYS = 32
"""The most alternative sets of arguments in a signature, since a family's grammar may list each of them."""
_LITERAL_TYPES: Mapping[str, tuple[type, ...]] = {"null": (type(None),), "boolean": (bool,), "number": (int, float)}


def signature(name: str, writing: Writing, root: State, field: str, *, strict: bool) -> Signature:
    """The signature of a tool with these parameters.

    Args:
        name: the tool's name.
        writing: the schema of the parameters, already read.
        root: the state of the schema's root.
        field: the request's field that holds the parameters.
        strict: whether a call must obey the schema exactly.

    Raises:
        InvalidValue: the schema allows no object.
    """
    objects = [part for part in writing.parts(root) if isinstance(part, Object)]
    if root == ANY:
        objects = [Object(rest=ANY)]
    if not objects:
        raise InvalidValue("The schema cannot be used: arguments are an object, but 'type' at the root is not.", field)
    # A family's grammar writes listed arguments only, so prefer objects whose required arguments reach minProperties.
    listed = [part for part in objects if part.least <= len(part.required)]
    ways = [_way(part, writing) for part in (listed if listed or strict else objects)[:MOST_WAYS]]
    plain: dict[str, set[Plain | None]] = {}
    for way in ways:
        for argument in way:
            plain.setdefault(argument.name, set()).add(argument.plain)
    # The parser finds an argument by its name alone, so all alternatives must write its value in the same form.
    one_manner = [[each if len(plain[each.name]) == 1 else replace(each, plain=None) for each in way] for way in ways]
    return Signature(name, strict, one_manner, {"x-guidance": OPTIONS, **writing.schema(objects)})


def _way(part: Object, writing: Writing) -> list[Argument]:
    return [
        _argument(name, state, writing, needed=name in part.required)
        for name, state in part.properties.items()
        if writing.is_full(state)
    ]


def _argument(name: str, state: State, writing: Writing, *, needed: bool) -> Argument:
    parts = writing.parts(state)
    if state == ANY:
        return Argument(name, needed, {"x-guidance": OPTIONS, **writing.any_value()}, Plain())
    return Argument(name, needed, {"x-guidance": OPTIONS, **writing.schema(parts)}, _plain(parts))


def _plain(parts: Sequence[Part]) -> Plain | None:
    """How a value is written without quotes; None if it cannot be, or if the parser could mistake its type."""
    texts = [part for part in parts if isinstance(part, Text)]
    kinds: set[str] = set()
    literals: list[str] = []
    for part in parts:
        match part:
            case Null():
                kinds.add("null")
            case Truth(values) if len(values) == 2:
                kinds.add("boolean")
            case Truth(values):
                literals += [json.dumps(value) for value in values]
            case Number() if part.values is not None:
                literals += [json.dumps(value) for value in part.values]
            case Number() if part in (Number(), Number(whole=True)):
                kinds.add("integer" if part.whole else "number")
            case Number() | List() | Object():
                return None
    if not texts:
        return Plain(texts=(), kinds=frozenset(kinds), literals=tuple(literals))
    if len(texts) > 1 or texts[0].patterns or (texts[0].formats and texts[0].values is None):
        return None
    text = texts[0]
    if text.values is not None:
        clear = all(_is_clear(value, kinds, literals) for value in text.values)
        return Plain(texts=text.values, kinds=frozenset(kinds), literals=tuple(literals)) if clear else None
    if text.most == 0:
        return Plain(texts=("",), kinds=frozenset(kinds), literals=tuple(literals))
    return Plain(max(1, text.least), text.most, None, frozenset(kinds), tuple(literals))


def _is_clear(text: str, kinds: set[str], literals: Sequence[str]) -> bool:
    """Whether a text can be written without quotes and the parser cannot read it as a value of another type."""
    if text != text.strip() or any(character < " " or character == "\x7f" for character in text):
        return False
    if not kinds and not literals:
        return True
    try:
        value: Any = json.loads(text.lower() if text in ("True", "False") else text)
    except (ValueError, RecursionError):
        return True
    return not any(isinstance(value, types) for types in _LITERAL_TYPES.values())
