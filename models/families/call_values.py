"""Values of arguments as models write them: JSON, Python literals, and literals whose keys have no quotes.

One parser reads all three, since templates mix them: ``{'a': [1, True]}``, ``{"a": null}``, ``{a:[1,true]}``. The
parser reads each character once and limits the depth, so its time grows only with the text's length.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEEPEST = 64
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[A-Za-z]+")
_BARE_KEY = re.compile(r"[^\s:,{}\[\]\"']+")
_DOUBLE = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_SINGLE = re.compile(r"'((?:[^'\\]++|\\.)*+)'", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool."""

    name: str
    arguments: Mapping[str, Any]


class NoValue(ValueError):
    """No value begins at this place of a text."""


def read_value(text: str, at: int, quote: str = "", depth: int = 0) -> tuple[Any, int]:
    """The value that begins at a place, and the place of its end.

    Args:
        text: the text that has the value.
        at: the place of the value; white space may come before it.
        quote: a mark of several characters around texts, if the form has one.
        depth: the number of lists and objects around the value.

    Raises:
        NoValue: no value begins there, or the value is nested too deeply.
    """
    at = _blank(text, at)
    if quote and text.startswith(quote, at):
        end = text.find(quote, at + len(quote))
        if end < 0:
            raise NoValue
        return text[at + len(quote) : end], end + len(quote)
    first = text[at : at + 1]
    if first in ('"', "'"):
        found = _DOUBLE.match(text, at) if first == '"' else _SINGLE.match(text, at)
        if found is None:
            raise NoValue
        return _unescaped(found[1]), found.end()
    if first in ("[", "{"):
        if depth == DEEPEST:
            raise NoValue
        return _items(text, at, quote, depth + 1) if first == "[" else _pairs(text, at, quote, depth + 1)
    scalar = _SCALAR.match(text, at)
    if scalar is None:
        raise NoValue
    word = scalar[0]
    if word in _WORDS:
        return _WORDS[word], scalar.end()
    if word[0].isalpha() or len(word) > 400:
        raise NoValue
    return (int(word) if word.lstrip("-").isdigit() else float(word)), scalar.end()


def whole_value(text: str) -> Any:
    """The value that a whole text denotes.

    Raises:
        NoValue: the text is not a value.
    """
    value, end = read_value(text, 0)
    if text[end:].strip():
        raise NoValue
    return value


def _items(text: str, at: int, quote: str, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at = _blank(text, at + 1)
    while not text.startswith("]", at):
        value, at = read_value(text, at, quote, depth)
        items.append(value)
        at = _next(text, at, "]")
    return items, at + 1


def _pairs(text: str, at: int, quote: str, depth: int) -> tuple[dict[str, Any], int]:
    pairs: dict[str, Any] = {}
    at = _blank(text, at + 1)
    while not text.startswith("}", at):
        bare = _BARE_KEY.match(text, at)
        if bare is not None and not (quote and text.startswith(quote, at)):
            key, at = bare[0], bare.end()
        else:
            key, at = read_value(text, at, quote, depth)
        at = _blank(text, at)
        if not isinstance(key, str) or not text.startswith(":", at):
            raise NoValue
        pairs[key], at = read_value(text, at + 1, quote, depth)
        at = _next(text, at, "}")
    return pairs, at + 1


def _next(text: str, at: int, end: str) -> int:
    """The place of the next item, or of the end."""
    at = _blank(text, at)
    if text.startswith(",", at):
        return _blank(text, at + 1)
    if not text.startswith(end, at):
        raise NoValue
    return at


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text

    def one(match: re.Match[str]) -> str:
        mark = match[1]
        return chr(int(mark[1:], 16)) if len(mark) > 1 else _ESCAPES.get(mark, mark)

    written = _ESCAPE.sub(one, text)
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), written)
