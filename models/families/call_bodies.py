"""The forms of one tool call: three bodies cover the calls that model makers' templates write.

The bodies are: a JSON object with the name in it; a name and then a JSON object; a name and then each argument by
itself, between marks or as in a Python call. Each body makes a grammar rule, in llguidance's Lark, and parses a written
call.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol

from models.families.call_values import Call, NoValue, read_value, whole_value
from models.signatures import Argument, Plain, Signature

ID, NUMBER = "\uf8f1", "\uf8f2"
"""Placeholders in a form's texts: an id that the model makes up, and the number of the call."""
_FILLED = {ID: rf"[\w.:{ID}-]{{1,64}}", NUMBER: r"\d{1,4}"}
FILLED = re.compile(f"([{ID}{NUMBER}])")
_BLANKS = re.compile(r"\s+")
_SIGN = re.compile(r"([^\w ])")
_ID_SCHEMA = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"}
_NAME = re.compile(r"[^\s<>\"'=:(){}\[\]|,]{1,200}")
"""The pattern of an argument's name that can be read back."""
_CDATA = "<![CDATA["
_LITERALS = {
    "null": "(null|None)",
    "boolean": "(true|false|True|False)",
    "integer": "-?(0|[1-9][0-9]{0,14})",
    "number": r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?",
}
_KINDS: Mapping[type, tuple[str, ...]] = {
    type(None): ("null",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
}


class Writer:
    """Writes a grammar in llguidance's Lark for one tokenizer's special tokens."""

    def __init__(self, special_tokens: Mapping[str, int]) -> None:
        self._ids = special_tokens
        longest = sorted((token for token in special_tokens if token), key=len, reverse=True)
        self._split = re.compile("(" + ("|".join(map(re.escape, longest)) or "(?!)") + ")")

    def parts(self, text: str) -> list[str]:
        """The items of a rule for a text of a form."""
        return [item for part in FILLED.split(text) for item in self._of(part)]

    def literal(self, text: str) -> str:
        """The body of a rule for a text of a form."""
        return " ".join(self.parts(text)) or '""'

    def until(self, name: str, text: str, what: str = "(?s:.*)") -> tuple[list[str], list[str]]:
        """Items for any text up to the first occurrence of an ending text, and the rules that the items need."""
        first = next(filter(None, self._split.split(FILLED.split(text)[0])), "")
        if not first or first in self._ids:
            return [name, *self.parts(text)], [f"{name}: /{what}/"]
        return [name, *self.parts(text[len(first) :])], [f"{name}[lazy]: /{what}{escaped(first)}/"]

    def begins_special(self, text: str) -> bool:
        """Tells whether the text begins with a special token."""
        return self._split.match(text) is not None

    def _of(self, part: str) -> list[str]:
        if part in _FILLED:
            return ["/[A-Za-z0-9_]{1,40}/" if part == ID else "/[0-9]{1,4}/"]
        pieces = [piece for piece in self._split.split(part) if piece]
        return [f"<[{self._ids[piece]}]>" if piece in self._ids else _quoted(piece) for piece in pieces]


class Body(Protocol):
    """The form of one call."""

    @property
    def texts(self) -> Sequence[str]:
        """All texts of the form in this body."""

    def rule(self, name: str, tool: Signature, writer: Writer) -> list[str]:
        """The rule ``name`` for calls of the tool, and the rules that it needs.

        Raises:
            ValueError: this body cannot write the tool's arguments.
        """

    def read(self, text: str, at: int, tools: Mapping[str, Signature]) -> tuple[Call, int]:
        """The call at a place of a text, and the place of its end.

        Raises:
            NoValue: no call begins there.
        """


@dataclass(frozen=True)
class JsonBody:
    """``{"name": "book", "arguments": {}}``; an empty ``name_key``: ``{"book": {}}``."""

    name_key: str = "name"
    arguments_key: str = "arguments"
    id_key: str = ""
    id_first: bool = False

    texts: Sequence[str] = ()

    def rule(self, name: str, tool: Signature, writer: Writer) -> list[str]:
        """The rule ``name`` for calls of the tool, and its further rules; raises `ValueError` as `Body.rule` does."""
        properties: dict[str, Any] = {self.name_key: {"const": tool.name}, self.arguments_key: _parameters(tool)}
        if not self.name_key:
            properties = {tool.name: _parameters(tool)}
        if self.id_key:
            known = {self.id_key: _ID_SCHEMA}
            properties = {**known, **properties} if self.id_first else {**properties, **known}
        return [f"{name}: {_object(properties, tool.schema)}"]

    def read(self, text: str, at: int, tools: Mapping[str, Signature]) -> tuple[Call, int]:
        """The call at a place of a text, and the place of its end. Raises `NoValue` if no call begins there."""
        value, end = _json(text, at)
        name: Any
        if self.name_key:
            name, arguments = value.get(self.name_key), value.get(self.arguments_key)
        elif len(value) == 1:
            ((name, arguments),) = value.items()
        else:
            raise NoValue
        if isinstance(arguments, str):  # some models write their arguments as a string
            arguments, _ = _json(arguments, 0)
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise NoValue
        return Call(name, arguments), end


@dataclass(frozen=True)
class NamedBody:
    """``book[ARGS]{}``: a name, a mark and a JSON object."""

    middle: str

    @property
    def texts(self) -> Sequence[str]:
        """All texts of the form in this body."""
        return (self.middle,)

    def rule(self, name: str, tool: Signature, writer: Writer) -> list[str]:
        """The rule ``name`` for calls of the tool, and its further rules; raises `ValueError` as `Body.rule` does."""
        schema = json.dumps(dict(tool.schema))
        return [f"{name}: {merged([*writer.parts(tool.name + self.middle), f'%json {schema}'])}"]

    def read(self, text: str, at: int, tools: Mapping[str, Signature]) -> tuple[Call, int]:
        """The call at a place of a text, and the place of its end. Raises `NoValue` if no call begins there."""
        found = _name_before(self.middle).match(text, at)
        if found is None:
            raise NoValue
        arguments, end = _json(text, found.end())
        return Call(found[1], arguments), end


@dataclass(frozen=True)
class SpelledBody:
    """``book><day>Monday</day>``, ``book(day='Monday')``: a name, and each argument by itself."""

    opened: str
    """The text after the name."""
    closed: str
    """The text after the last argument."""
    bare: str
    """The text after the name in a call without arguments."""
    key: str
    """The text before an argument's name."""
    joint: str
    """The text between arguments."""
    text: tuple[str, str]
    """The marks before and after a string value."""
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The marks before and after other values, by JSON type."""
    by_name: bool = False
    """Arguments are sorted by name instead of the schema's order."""

    @property
    def texts(self) -> Sequence[str]:
        """All texts of the form in this body."""
        around = [each for pair in (self.text, *self.others.values()) for each in pair]
        return (self.opened, self.closed, self.bare, self.key, self.joint, *around)

    @property
    def _quote(self) -> str:
        """The marks around texts, if numbers have no marks."""
        return self.text[1] if not self.others["integer"][1] else ""

    def rule(self, name: str, tool: Signature, writer: Writer) -> list[str]:
        """The rule ``name`` for calls of the tool, and its further rules; raises `ValueError` as `Body.rule` does."""
        if not tool.ways:
            raise ValueError(f"'minProperties' at the root of {tool.name!r} asks for arguments that are not listed")
        heads, lines = [], []
        for i, way in enumerate(tool.ways):
            heads.append(f"{name}w{i}")
            lines += self._way(heads[-1], way, writer)
        return [f"{name}: {writer.literal(tool.name)} ({' | '.join(heads)})", *lines]

    def _way(self, rule: str, way: Sequence[Argument], writer: Writer) -> list[str]:
        """Rules for arguments in the schema's order: ``s`` before the first argument, ``t`` after one.

        Each rule begins with one text that is as long as possible: if two texts begin alike, the lexer takes the longer
        one.
        """
        unwritable = next((one.name for one in way if one.needed and not _NAME.fullmatch(one.name)), None)
        if unwritable is not None:
            raise ValueError(f"the argument {unwritable[:80]!r} cannot be written by this model")
        way = [argument for argument in way if _NAME.fullmatch(argument.name)]
        if self.by_name:
            way = sorted(way, key=lambda argument: argument.name)
        lines = [f"{rule}: {rule}s0"]
        for i, argument in enumerate(way):
            values, more = self._values(f"{rule}v{i}", argument, writer)
            lines += more
            for state, before in (("s", self.opened), ("t", self.joint)):
                key = [*writer.parts(before + self.key), _quoted(argument.name)]
                ways = [merged([*key, *value, f"{rule}t{i + 1}"]) for value in values]
                if not argument.needed:
                    ways.append(f"{rule}{state}{i + 1}")
                lines.append(f"{rule}{state}{i}: {' | '.join(ways)}")
        lines.append(f"{rule}s{len(way)}: {writer.literal(self.bare)}")
        lines.append(f"{rule}t{len(way)}: {writer.literal(self.closed)}")
        return lines

    def _values(self, rule: str, argument: Argument, writer: Writer) -> tuple[list[list[str]], list[str]]:
        """The forms of a value, as items, and the rules that the items need."""
        plain = argument.plain
        before, after = self.others.get(_type_of(argument), self.others["integer"])
        if plain is None:
            return [[*writer.parts(before), f"%json {json.dumps(dict(argument.schema))}", *writer.parts(after)]], []
        ways: list[list[str]] = []
        lines: list[str] = []
        if plain.texts is None:
            what = f"(?s:.{{{plain.least if plain.least > 1 else 0},{'' if plain.most is None else plain.most}}})"
            items, lines = writer.until(f"{rule}t", self.text[1], what)
            ways.append([*writer.parts(self.text[0]), *items])
        else:
            ways += [[*writer.parts(self.text[0]), _quoted(one), *writer.parts(self.text[1])] for one in plain.texts]
        others = [f"/{_LITERALS[kind]}/" for kind in sorted(plain.kinds)]
        for literal in [*others, *map(_quoted, plain.literals)]:
            ways += [[*writer.parts(before), literal, *writer.parts(after)]]
        return ways, lines

    def read(self, text: str, at: int, tools: Mapping[str, Signature]) -> tuple[Call, int]:
        """The call at a place of a text, and the place of its end. Raises `NoValue` if no call begins there."""
        opened, bare = _name_before(self.opened + self.key), _name_before(self.bare)
        found = opened.match(text, at)
        if found is None or (len(self.opened + self.key) <= len(self.bare) and bare.match(text, at)):
            if (found := bare.match(text, at)) is None:
                raise NoValue
            return Call(found[1], {}), found.end()
        name, at = found[1], found.end()
        tool = tools.get(name)
        known = {each.name: each for way in reversed(tool.ways) for each in way} if tool is not None else {}
        arguments: dict[str, Any] = {}
        while True:
            key, value, at = self._read_argument(text, at, known)
            arguments[key] = value
            if (more := spaced(self.joint + self.key).match(text, at)) is not None and more.end() > at:
                at = more.end()
                continue
            if (end := spaced(self.closed).match(text, at)) is None:
                raise NoValue
            return Call(name, arguments), end.end()

    def _read_argument(self, text: str, at: int, known: Mapping[str, Argument]) -> tuple[str, Any, int]:
        for kind, (before, after) in self._around:
            found = _key_before(before).match(text, at)
            if found is None:
                continue
            key, at = found[1], found.end()
            if not after or self._quote:
                # Texts carry their own marks, so the end of every value is visible.
                value, end = read_value(text, at - len(self._quote) if kind == "text" else at, self._quote)
                return key, value, end
            end = text.find(after.strip(), at)
            if end < 0:
                raise NoValue
            blank = after[: len(after) - len(after.lstrip())]
            said = text[at:end].removesuffix(blank)
            if said.startswith(_CDATA) and said.endswith("]]>"):
                said = said[len(_CDATA) : -3]
            differs = self.others["integer"] != self.text
            value = said if kind == "text" and differs else _typed(said, known.get(key), sure=kind != "text")
            return key, value, end + len(after.strip())
        raise NoValue

    @cached_property
    def _around(self) -> list[tuple[str, tuple[str, str]]]:
        """The marks around values, the longest first, since one mark may be the beginning of another."""
        pairs = {self.text: "text", **{pair: kind for kind, pair in self.others.items() if pair != self.text}}
        return sorted(((kind, pair) for pair, kind in pairs.items()), key=lambda each: -len(each[1][0]))


def escaped(text: str) -> str:
    """A text as a part of a pattern of llguidance's."""
    return _SIGN.sub(lambda match: f"\\x{{{ord(match[1]):x}}}", text)


def _quoted(text: str) -> str:
    return json.dumps(text)


def merged(items: Sequence[str]) -> str:
    """Items of a rule, with adjacent texts joined: the library's lexer never goes back before the end of a text."""
    kept: list[str] = []
    for item in filter(None, items):
        if item.startswith('"') and kept and kept[-1].startswith('"'):
            kept[-1] = _quoted(json.loads(kept[-1]) + json.loads(item))
        elif item != '""':
            kept.append(item)
    return " ".join(kept) or '""'


def _parameters(tool: Signature) -> dict[str, Any]:
    return {key: value for key, value in tool.schema.items() if key not in ("$defs", "x-guidance")}


def _object(properties: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    whole = {
        "x-guidance": schema["x-guidance"],
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
        "$defs": schema["$defs"],
    }
    return f"%json {json.dumps(whole)}"


def _json(text: str, at: int) -> tuple[dict[str, Any], int]:
    """The JSON object at a place of a text, and the place of its end."""
    while at < len(text) and text[at].isspace():
        at += 1
    try:
        value, end = json.JSONDecoder(parse_constant=_no_number).raw_decode(text, at)
    except ValueError:
        raise NoValue from None
    if not isinstance(value, dict):
        raise NoValue
    return value, end


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _type_of(argument: Argument) -> str:
    stated = argument.schema.get("type")
    if isinstance(stated, str):
        return stated
    plain: Plain | None = argument.plain
    return next(iter(sorted(plain.kinds)), "integer") if plain is not None else "object"


def _typed(said: str, argument: Argument | None, *, sure: bool) -> Any:
    """A value between marks; it stays a text if the tool's schema asks for a text."""
    plain = argument.plain if argument is not None else None
    if plain is not None and not plain.kinds and not plain.literals and not sure:
        return said
    try:
        value = whole_value(said)
    except NoValue:
        return said
    if plain is None or sure:
        return value
    fits = any(kind in plain.kinds for kind in _KINDS.get(type(value), ())) or said.strip() in plain.literals
    return value if fits else said


def _pattern(text: str) -> str:
    """A text of a form as a pattern in which white space may differ."""
    parts = FILLED.split(text)
    return "".join(_FILLED.get(part) or r"\s*".join(map(re.escape, _BLANKS.split(part))) for part in parts)


@lru_cache(maxsize=256)
def spaced(text: str) -> re.Pattern[str]:
    """A text of a form after any white space."""
    return re.compile(rf"\s*{_pattern(text.strip())}")


@lru_cache(maxsize=256)
def _name_before(text: str) -> re.Pattern[str]:
    """A tool's name, and the text after it."""
    return re.compile(rf"\s*([\w.-]{{1,200}}?){_pattern(text)}\s*" if text else r"\s*([\w.-]{1,200})")


@lru_cache(maxsize=256)
def _key_before(text: str) -> re.Pattern[str]:
    """An argument's name, and the text before its value."""
    stripped = text.rstrip()
    blank = re.escape(text[len(stripped) :])
    return re.compile(rf"\s*({_NAME.pattern}?){_pattern(stripped)}(?:{blank})?")
