"""The grammar of the assistant's completions, in llguidance's Lark: text, calls of known tools, or both.

Pieces of a text segment begin with a space where the model wrote them that way in training, so one is allowed before
each name and value. A call has every required argument once, in the order that the model likes best: of training it
remembers an order, and held to another it says worse values (load_tests/RESULTS.md). Knows no tokenizer and no engine.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

CALL, ARGUMENT, VALUE = "<|call|>", "<|arg|>", "<|value|>"
TEXT = "TEXT: /(.|\\n)+/"
_PLAIN_VALUES = {
    "string": r"/ ?[^\n]+/",
    "integer": r"/ ?-?(0|[1-9][0-9]{0,17})/",
    "number": r"/ ?-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?/",
    "boolean": r"/ ?(true|false)/",
    "null": r"/ ?null/",
}
_SIGN = re.compile(r"([^\w ])")
_MOST_SETS = 1024
"""Of arguments, of all tools together: each set has a rule of its own."""
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}


def call_grammar(tools: Sequence[Mapping[str, Any]], *, required: bool, several: bool) -> str:
    """The grammar of a completion that may call tools.

    Args:
        tools: those that may be called, in OpenAI's form; at least one.
        required: a call is made, and nothing said.
        several: more than one call may be made.

    Raises:
        ValueError: a strict tool asks for what cannot be enforced.
    """
    calls = "call+" if several else "call"
    lines = [f"start: {calls}" if required else f"start: TEXT? | TEXT? {calls}"]
    if not required:
        lines.append(TEXT)
    functions = [tool["function"] for tool in tools]
    lines.append(f"call: {CALL} ({' | '.join(f'f{i}' for i in range(len(functions)))})")
    counted = (_MOST_SETS // len(functions)).bit_length() - 1
    for i, function in enumerate(functions):
        parameters = function.get("parameters") or {}
        lines += _function(f"f{i}", function["name"], parameters, counted, strict=bool(function.get("strict")))
    return "\n".join(lines)


def _function(rule: str, name: str, parameters: Mapping[str, Any], most: int, *, strict: bool) -> list[str]:
    properties = parameters.get("properties") or {}
    arguments = [f"{rule}a{i}" for i in range(len(properties))]
    needed = [key in set(parameters.get("required") or ()) for key in properties]
    body, lines = _arguments(rule, arguments, needed, most, strict=strict)
    lines.insert(0, f"{rule}: {_literal(name)} {body}")
    for argument, (key, schema) in zip(arguments, properties.items(), strict=True):
        lines.append(f"{argument}: {ARGUMENT} {_literal(key)} {VALUE} {argument}v")
        if strict and isinstance(schema, Mapping) and (unknown := sorted(schema.keys() & {"pattern", "format"})):
            raise ValueError(f"'{unknown[0]}' of '{key}' cannot be enforced in a call")
        lines.append(f"{argument}v: {_value(schema)}")
    return lines


def _arguments(
    rule: str, arguments: Sequence[str], needed: Sequence[bool], most: int, *, strict: bool
) -> tuple[str, list[str]]:
    """What follows a tool's name, and rules for it: one for each set of arguments that have not come yet.

    Of more than ``most`` arguments the sets are too many. Then only the needed ones are counted, and the others come as
    often as the model likes; or, where a tool is strict or needs too many, all come in the schema's order.
    """
    counted = [i for i, is_needed in enumerate(needed) if is_needed or len(arguments) <= most]
    others = [one for i, one in enumerate(arguments) if i not in counted]
    if len(counted) > most or (strict and others):
        return " ".join(one if needed[i] else f"{one}?" for i, one in enumerate(arguments)), []
    lines = []
    for missing in range(1 << len(counted)):
        places = [place for place in range(len(counted)) if missing >> place & 1]
        ways = [f"{arguments[counted[place]]} {rule}s{missing & ~(1 << place)}" for place in places]
        ways += [f"{other} {rule}s{missing}" for other in others]
        if not any(needed[counted[place]] for place in places):
            ways.append('""')
        lines.append(f"{rule}s{missing}: {' | '.join(ways)}")
    return f"{rule}s{(1 << len(counted)) - 1}", lines


def _value(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return _PLAIN_VALUES["string"]
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if choices:
        return " | ".join(_literal(choice if isinstance(choice, str) else json.dumps(choice)) for choice in choices)
    kind = schema.get("type", "string")
    if kind == "string" and schema.keys() & {"minLength", "maxLength"}:
        return _string(schema.get("minLength"), schema.get("maxLength"))
    if isinstance(kind, str) and kind in _PLAIN_VALUES and not (kind != "string" and schema.keys() & _BOUNDS):
        return _PLAIN_VALUES[kind]
    return f"/ ?/ %json {json.dumps(dict(schema))}"


def _string(least: Any, most: Any) -> str:
    """A text of so many characters. Never none: a call has no way to write an empty value."""
    least = max(1, least) if isinstance(least, int) else 1
    rest = f"{least - 1},{max(most, least) - 1}" if isinstance(most, int) else f"{least - 1},"
    return rf"/ ?[^\n ][^\n]{{{rest}}}/"


def _literal(text: str) -> str:
    """The text, with or without a space before it."""
    escaped = _SIGN.sub(lambda match: f"\\x{{{ord(match[1]):x}}}", text)
    return f"/ ?{escaped}/"
