"""Finds the form in which a model writes tool calls. The chat template writes calls of marked names and values, and the
texts around the marks are the form. A form counts only if it can parse the calls that the template wrote.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from models.families.call_bodies import ID, NUMBER, Body, JsonBody, NamedBody, SpelledBody
from models.families.call_forms import CallForm
from models.families.call_values import NoValue, read_value
from models.signatures import Argument, Signature

Render = Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]] | None, bool], str]
"""Renders messages and tools, with or without the beginning of the assistant's turn.

Raises:
    ValueError: the template does not accept them.
"""

_FIRST, _SECOND = "fnamarkone", "fnbmarktwo"
_KEYS = ("keyamark", "keybmark")
_TEXTS = ("valuemarkone", "valuemarktwo")
_ARGUMENTS = dict(zip(_KEYS, _TEXTS, strict=True))
_IDS = ("idmarkon1", "idmarktw2")
"""Nine letters and digits, since some templates require this form."""
_SAID, _ASKED = "Zqsaidmark", "Zqaskedmark"
_OTHERS: Mapping[str, Any] = {
    "integer": 73519,
    "number": 73.25,
    "boolean": True,
    "null": None,
    "array": [73519, True, None],
    "object": {"innermark": 73519, "deep": [False]},
}
_TAG = "<|python_tag|>"
_NUMBER = re.compile(r"(?<=\W)\d+(?=\W)")
_LAST_NUMBER = re.compile(r"(?<!\d)\d++(?=\D*$)")
_VALUE = re.compile(r"[\[{]|(?<![A-Za-z])[tTfFnN]")
_ENDS_IN_TOKEN = re.compile(r"<[^<>\s]*$")


class NoForm(ValueError):
    """The template writes no calls, or calls that cannot be read back."""


def call_form(render: Render, source: str, stop_tokens: Sequence[str]) -> CallForm | None:
    """The form of a template's calls; None if the template has no form that this module understands.

    Args:
        render: renders messages with the template.
        source: the template itself.
        stop_tokens: the tokens that end a completion; a form cannot have such a token before its end.
    """
    found: list[tuple[int, CallForm]] = []
    for null_content in (False, True):
        for text_arguments in (False, True):
            try:
                calls = _Calls(render, text_arguments, null_content)
                written = calls.turn([_call(0, _ARGUMENTS)])
            except ValueError:
                continue
            if not all(mark in written for mark in (_FIRST, *_KEYS, *_TEXTS)):
                continue
            with suppress(NoForm, ValueError, RecursionError):
                form = _found(calls, source, stop_tokens)
                found.append((len(written), replace(form, text_arguments=text_arguments, null_content=null_content)))
            break  # arguments as objects, unless the template fails on these
    return min(found, key=lambda each: each[0])[1] if found else None


class _Calls:
    """Renders the assistant's turns with a template."""

    def __init__(self, render: Render, text_arguments: bool, null_content: bool) -> None:
        self._render = render
        self._text_arguments = text_arguments
        self._content = None if null_content else ""
        self._asked = [{"role": "user", "content": _ASKED}]
        said = render([*self._asked, {"role": "assistant", "content": _SAID}], TOOLS, False)
        before, mark, self._after = said.rpartition(_SAID)
        self._before = [before if mark else "", render(self._asked, TOOLS, True)]

    def turn(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """The text that the assistant writes for these calls."""
        made = [as_text(call) if self._text_arguments else call for call in calls]
        message = {"role": "assistant", "content": self._content, "tool_calls": made}
        whole = self._render([*self._asked, message], TOOLS, False)
        prefix = max((common_prefix(whole, before) for before in self._before), key=len)
        if prefix not in self._before:
            prefix = _ENDS_IN_TOKEN.sub("", prefix)
        turn = whole[len(prefix) :].removesuffix(self._after)
        for id in _IDS:
            turn = turn.replace(id, ID)
        return turn


def as_text(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call with its arguments as a string."""
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}}


def _tool(name: str, kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": dict(kinds), "required": [], "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": parameters}}


TOOLS = [
    _tool(name, {key: {"type": "string", "description": "A value."} for key in _KEYS}) for name in (_FIRST, _SECOND)
]
"""The tools of the marked calls."""


_KNOWN = {name: Signature(name, False, [[Argument(key, False, {}) for key in _KEYS]], {}) for name in (_FIRST, _SECOND)}


def _call(which: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": (_FIRST, _SECOND)[which], "arguments": dict(arguments)}
    return {"id": _IDS[which], "type": "function", "function": function}


def _found(calls: _Calls, source: str, stop_tokens: Sequence[str]) -> CallForm:
    one, two = calls.turn([_call(0, _ARGUMENTS)]), ""
    with suppress(ValueError):
        two = calls.turn([_call(0, _ARGUMENTS), _call(1, _ARGUMENTS)])
    if _SECOND not in two:
        two = ""
    body = _body(one) or _spelled(calls, one, two)
    start, stop = _place(body, one, _FIRST)
    begin, end, between = one[:start], one[stop:], None
    if two and two.startswith(begin):
        second, second_end = _place(body, two, _SECOND)
        _, first_end = _place(body, two, _FIRST)
        begin, between = _counted(begin, two[first_end:second])
        end = two[second_end:]
    end = _until_stop(end, stop_tokens)
    if _until_stop(begin, stop_tokens) != begin:
        raise NoForm
    if between is not None and _until_stop(between, stop_tokens) != between:
        between = None
    form = CallForm(begin.lstrip(), between, end.rstrip(), body, _TAG if not begin.strip() and _TAG in source else "")
    _require_marked(form)
    _require_read_back(form, calls)
    return form


def _body(one: str) -> JsonBody | NamedBody | None:
    """The form of a call with JSON in it; None if the call has another form."""
    at = one.find(_FIRST)
    for start in _braces_before(one, at):
        if (found := _object_at(one, start)) is not None and _FIRST in _strings(found[0]):
            return _json_body(found[0])
    after = at + len(_FIRST)
    brace = one.find("{", after)
    if brace >= 0 and (found := _object_at(one, brace)) is not None and found[0] == _ARGUMENTS:
        return NamedBody(_NUMBER.sub(NUMBER, one[after:brace], count=1))
    return None


def _place(body: Body, text: str, name: str) -> tuple[int, int]:
    """The place of the call of this name in a turn."""
    at = text.find(name)
    if at < 0 or text.find(name, at + 1) >= 0:
        raise NoForm
    starts = list(_braces_before(text, at)) if isinstance(body, JsonBody) else [at]
    for start in starts:
        with suppress(NoValue):
            call, end = body.read(text, start, _KNOWN)
            if call.name == name and call.arguments == _ARGUMENTS:
                return start, end
    raise NoForm


def _json_body(found: Mapping[str, Any]) -> JsonBody:
    def are_arguments(value: Any) -> bool:
        return bool(value == _ARGUMENTS or value == json.dumps(_ARGUMENTS))

    if list(found) == [_FIRST] and are_arguments(found[_FIRST]):
        return JsonBody("", "")
    name_key = next((key for key, value in found.items() if value == _FIRST), None)
    arguments_key = next((key for key, value in found.items() if are_arguments(value)), None)
    if name_key is None or arguments_key is None:
        raise NoForm
    others = [key for key in found if key not in (name_key, arguments_key)]
    if len(others) > 1 or (others and not isinstance(found[others[0]], str)):
        raise NoForm
    id_key = others[0] if others else ""
    return JsonBody(name_key, arguments_key, id_key, bool(others) and next(iter(found)) == id_key)


def _spelled(calls: _Calls, one: str, two: str) -> SpelledBody:
    """The texts around a name and its arguments, of turns with one call and with two."""
    marks = [_FIRST, _KEYS[0], _TEXTS[0], _KEYS[1], _TEXTS[1]]
    _, head, before, middle, again, tail = _cut(one, marks)
    if before != again:
        raise NoForm
    key = common_prefix(head[::-1], middle[::-1])[::-1]
    key = key[max(0, key.rfind("<")) :]
    opened, joint = head.removesuffix(key), middle.removesuffix(key)
    others = {kind: _around(calls, value) for kind, value in _OTHERS.items()}
    bare = _cut(calls.turn([_call(0, {})]), [_FIRST])[1]
    # The end of the turn stands only after the last call; the end of a call stands after the first of two as well.
    ends = tail
    if two:
        until_next = _cut(two, [*marks, _SECOND])[5]
        ends = _whole_marks(common_prefix(tail, until_next))
    turn_end = tail.removeprefix(ends)
    if not bare.endswith(turn_end):
        raise NoForm
    bare = bare.removesuffix(turn_end)
    after, integer_tail = _whole_marks(common_prefix(joint, ends)).rstrip(), others["integer"][1]
    if after and integer_tail.startswith(after):
        closings = {kind: (pair[0], after) for kind, pair in others.items()}
    elif tail.endswith(integer_tail) and (after := tail.removesuffix(integer_tail)):
        closings = {kind: (pair[0], "") for kind, pair in others.items()}  # as in Python: only texts end with a mark
    else:
        raise NoForm
    joint, closed = joint.removeprefix(after), ends.removeprefix(after).rstrip()
    turned = calls.turn([_call(0, dict(reversed(_ARGUMENTS.items())))])
    by_name = turned.find(_KEYS[0]) < turned.find(_KEYS[1])
    return SpelledBody(opened, closed, bare.rstrip(), key, joint, (before, after), closings, by_name)


def _whole_marks(text: str) -> str:
    """A text without the beginning of a mark at its end."""
    return text[: text.rfind("<")] if text.rfind("<") > text.rfind(">") else text


def _around(calls: _Calls, value: Any) -> tuple[str, str]:
    """The texts between a key and its value, and after the value."""
    turn = calls.turn([_call(0, {_KEYS[0]: value})])
    at = turn.find(_KEYS[0])
    if at < 0:
        raise NoForm
    rest = turn[at + len(_KEYS[0]) :]
    for written in (json.dumps(value), str(value), json.dumps(value, separators=(",", ":"))):
        before, mark, after = rest.partition(written)
        if mark:
            return before, after
    for found in _VALUE.finditer(rest):
        try:
            read, end = read_value(rest, found.start())
        except NoValue:
            continue
        if read == value:
            return rest[: found.start()], rest[end:]
    raise NoForm


def _require_marked(form: CallForm) -> None:
    """Refuse a form whose calls cannot be distinguished from text."""
    if not form.begin:
        if not isinstance(form.body, JsonBody):
            raise NoForm
        return
    if form.begins[0][0].isalnum() or len(form.begins[0]) < 3:
        raise NoForm


def _require_read_back(form: CallForm, calls: _Calls) -> None:
    """Refuse a form that cannot parse the calls that the template writes."""
    several = form.between is not None
    for arguments in (
        {_KEYS[0]: _TEXTS[0], _KEYS[1]: "two words"},
        {},
        *({_KEYS[0]: value} for value in _OTHERS.values()),
    ):
        made = [_call(0, arguments)] + [_call(1, {_KEYS[1]: _TEXTS[1]})] * several
        found = form.parse(calls.turn(made), [*_KNOWN.values()])
        wanted = [(call["function"]["name"], call["function"]["arguments"]) for call in made]
        if found is None or [(call.name, dict(call.arguments)) for call in found] != wanted:
            raise NoForm


def _counted(begin: str, between: str) -> tuple[str, str]:
    """The texts before the first and the second call, with a mark in place of a call's number."""
    first, second = _LAST_NUMBER.search(begin), _LAST_NUMBER.search(between)
    if first and second and int(second[0]) == int(first[0]) + 1 and begin[first.end() :] == between[second.end() :]:
        begin = begin[: first.start()] + NUMBER + begin[first.end() :]
        between = between[: second.start()] + NUMBER + between[second.end() :]
    return begin, between


def _until_stop(text: str, stop_tokens: Sequence[str]) -> str:
    places = [at for token in stop_tokens if token and (at := text.find(token)) >= 0]
    return text[: min(places)] if places else text


def common_prefix(first: str, second: str) -> str:
    """The common beginning of two texts."""
    shorter = min(len(first), len(second))
    differ = next((i for i in range(shorter) if first[i] != second[i]), shorter)
    return first[:differ]


def _cut(text: str, marks: Sequence[str]) -> list[str]:
    parts = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found:
            raise NoForm
        parts.append(before)
    return [*parts, text]


def _braces_before(text: str, at: int) -> Iterator[int]:
    while (at := text.rfind("{", 0, at)) >= 0:
        yield at


def _object_at(text: str, at: int) -> tuple[dict[str, Any], int] | None:
    try:
        value, end = json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return (value, end) if isinstance(value, dict) else None


def _strings(value: Mapping[str, Any]) -> list[Any]:
    return [*value.keys(), *value.values()]
