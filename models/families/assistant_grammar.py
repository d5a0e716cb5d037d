"""The grammar of the assistant's completions, in llguidance's Lark: text, calls of known tools, or both.

In training some text segments begin with a piece that has a space, so the grammar allows a space before each name and
value. A call has every required argument once, in the order that the model chooses: it remembers an order from
training, and writes worse values in another order (load_tests/RESULTS.md). This module knows no tokenizer and no
engine.
"""

import json
import re
from collections.abc import Sequence

from models.signatures import Argument, Plain, Signature

CALL, ARGUMENT, VALUE = "<|call|>", "<|arg|>", "<|value|>"
TEXT = "TEXT: /(.|\\n)+/"
_LITERALS = {
    "null": "null",
    "boolean": "true|false",
    "integer": "-?(0|[1-9][0-9]{0,14})",
    "number": r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?",
}
_NAME = re.compile(r"[^\x00-\x1f\x7f]+")
_SIGN = re.compile(r"([^\w ])")
_LOOKS_SO = {**_LITERALS, "integer": "-?(0|[1-9][0-9]*)", "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"}
"""Texts that a parser would read as a value of such a type, so a text of this form is not allowed beside that type."""
_END, _INNER = r"[^\s\x00-\x1f\x7f]", r"[^\x00-\x1f\x7f]"
"""Characters of a plain value; blanks around the value do not belong to it."""
_MOST_SETS = 1024
"""The most sets of arguments, for all tools together: each set has a rule of its own."""


def call_grammar(tools: Sequence[Signature], *, required: bool, several: bool) -> str:
    """The grammar of a completion that may call tools.

    Args:
        tools: the tools that the model may call; at least one.
        required: the completion is a call without text; otherwise any text is allowed, also before calls.
        several: the completion may have more than one call.

    Raises:
        ValueError: a required argument is not listed, or its name cannot be written.
    """
    calls = "call+" if several else "call"
    lines = [f"start: {calls}"] if required else [f"start: TEXT? | TEXT? {calls}", TEXT]
    lines.append(f"call: {CALL} ({' | '.join(f'f{i}' for i in range(len(tools)))})")
    for tool in tools:
        if not tool.ways:
            raise ValueError(f"'minProperties' at the root of {tool.name!r} asks for arguments that are not listed")
    counted = max(0, (_MOST_SETS // sum(len(tool.ways) for tool in tools)).bit_length() - 1)
    for i, tool in enumerate(tools):
        ways = [f"f{i}w{j}" for j in range(len(tool.ways))]
        lines.append(f"f{i}: {_literal(tool.name)} ({' | '.join(ways)})")
        for rule, way in zip(ways, tool.ways, strict=True):
            lines += _way(rule, way, counted, strict=tool.strict)
    lines.append(f"PLAIN: /{_text(Plain())}/")
    return "\n".join(lines)


def is_name(name: str) -> bool:
    """Tells whether an argument's name can be written and read back."""
    return bool(_NAME.fullmatch(name)) and name == name.strip()


def _way(rule: str, way: Sequence[Argument], most: int, *, strict: bool) -> list[str]:
    for argument in way:
        if argument.needed and not is_name(argument.name):
            raise ValueError(f"the argument {argument.name[:80]!r} cannot be written by this model")
    way = [argument for argument in way if is_name(argument.name)]
    arguments = [f"{rule}a{i}" for i in range(len(way))]
    body, lines = _arguments(rule, arguments, [argument.needed for argument in way], most, strict=strict)
    lines.insert(0, f"{rule}: {body}")
    for name, argument in zip(arguments, way, strict=True):
        body, terminals = _value(name.upper(), argument)
        lines += [f"{name}: {ARGUMENT} {_literal(argument.name)} {VALUE} {body}", *terminals]
    return lines


def _arguments(
    rule: str, arguments: Sequence[str], needed: Sequence[bool], most: int, *, strict: bool
) -> tuple[str, list[str]]:
    """The text after a tool's name, and its rules: one rule for each set of arguments that are still to come.

    More than ``most`` arguments have too many sets. Then the rules count only the required arguments, and the others
    may come any number of times; or, if a tool is strict or requires too many, all arguments come in the schema's
    order.
    """
    counted = [i for i, is_needed in enumerate(needed) if is_needed or len(arguments) <= most]
    others = [one for i, one in enumerate(arguments) if i not in counted]
    if len(counted) > most or (strict and others):
        return " ".join(one if needed[i] else f"{one}?" for i, one in enumerate(arguments)) or '""', []
    lines = []
    for missing in range(1 << len(counted)):
        places = [place for place in range(len(counted)) if missing >> place & 1]
        ways = [f"{arguments[counted[place]]} {rule}s{missing & ~(1 << place)}" for place in places]
        ways += [f"{other} {rule}s{missing}" for other in others]
        if not any(needed[counted[place]] for place in places):
            ways.append('""')
        lines.append(f"{rule}s{missing}: {' | '.join(ways)}")
    return f"{rule}s{(1 << len(counted)) - 1}", lines


def _value(terminal: str, argument: Argument) -> tuple[str, list[str]]:
    """The rule of a value, and the terminals that the rule needs."""
    plain = argument.plain
    if plain is None:
        return f"/ ?/ %json {json.dumps(dict(argument.schema))}", []
    others = [_LITERALS[kind] for kind in sorted(plain.kinds)] + [_escaped(literal) for literal in plain.literals]
    if plain.texts is not None:
        return f"/ ?({'|'.join([*map(_escaped, plain.texts), *others])})/", []
    if not others:
        return "PLAIN" if plain == Plain() else f"/{_text(plain)}/", []
    looks_so = [_LOOKS_SO[kind] for kind in sorted(plain.kinds)] + [_escaped(literal) for literal in plain.literals]
    return f"({terminal}T | {terminal}O)", [
        f"{terminal}T: /{_text(plain)}/ & ~/ ?({'|'.join(looks_so)})/",
        f"{terminal}O: / ?({'|'.join(others)})/",
    ]


def _text(plain: Plain) -> str:
    """A text within this number of characters. The text is never empty: only an enumerated value can be empty."""
    least, most = max(1, plain.least), plain.most
    if most == 1:
        return f" ?{_END}"
    rest = f"{_INNER}{{{max(0, least - 2)},{'' if most is None else most - 2}}}{_END}"
    return f" ?{_END}{rest}" if least > 1 else f" ?{_END}({rest})?"


def _literal(text: str) -> str:
    """The text, with an optional space before it."""
    return f"/ ?{_escaped(text)}/"


def _escaped(text: str) -> str:
    return _SIGN.sub(lambda match: f"\\x{{{ord(match[1]):x}}}", text)
