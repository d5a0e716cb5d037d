"""The assistant's form of a conversation, and the parser of its completions.

A conversation is a list of segments: a special token, or plain text. Special tokens are CONTROL pieces of the
tokenizer. Encoding plain text never yields such a piece, so a user's text can't end a turn or forge a tool result. The
tokenizer encodes each text segment on its own.

    <s> <|system|> text <|tool|> name <|arg|> required <|opt|> optional ... <|end|>
    <|user|> text <|end|>
    <|assistant|> text <|end|>
    <|assistant|> <|call|> name <|arg|> key <|value|> value ... <|end|>
    <|result|> key: value; key: value <|end|>

Arguments are not JSON inside the model: a value that is a segment of its own has the same
pieces as in the user's sentence (copying is what a small model does best), needs no escapes
and can't be malformed. `parse_completion` turns them into JSON types of the tool's schema.

The server uses `chat_messages` and `tools_from_schemas` for a request, `template_messages` for the template and
`parse_completion` for the completion. Training uses `segments`. This module knows text only: nothing of tensors, HTTP
or the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.families.assistant_calls import MARK as MARK
from models.families.assistant_calls import read_calls as read_calls
from models.families.assistant_grammar import call_grammar as call_grammar

BOS = "<s>"
SYSTEM, USER, ASSISTANT, RESULT = "<|system|>", "<|user|>", "<|assistant|>", "<|result|>"
TOOL, ARGUMENT, OPTION = "<|tool|>", "<|arg|>", "<|opt|>"
CALL, VALUE, END = "<|call|>", "<|value|>", "<|end|>"
CONTROL_TOKENS = (SYSTEM, USER, ASSISTANT, RESULT, TOOL, ARGUMENT, OPTION, CALL, VALUE, END)
SPECIAL_TOKENS = (BOS, *CONTROL_TOKENS)
CALL_TOKENS = (CALL, ARGUMENT, VALUE)  # inside a call: `parse_completion` needs them in the text
NEVER_WRITTEN = tuple(t for t in SPECIAL_TOKENS if t not in (*CALL_TOKENS, END))  # only prompts have these

_SPECIAL = re.compile("(" + "|".join(re.escape(token) for token in SPECIAL_TOKENS) + ")")
_TYPES: dict[str, tuple[type, ...]] = {  # JSON types whose values are not written as text
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_TURN = {"system": SYSTEM, "developer": SYSTEM, "user": USER, "assistant": ASSISTANT, "tool": RESULT}


@dataclass(frozen=True, slots=True)
class Tool:
    """A callable service: argument names, and their JSON types if the schema states them."""

    name: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One call; the values are text in the model, JSON values once parsed."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; only the assistant's turns have `calls`. role: system, user, assistant or tool."""

    role: str
    content: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """The contents of a completion: text, calls, or both."""

    content: str
    calls: tuple[Call, ...] = ()


def segments(
    messages: Sequence[Message], tools: Sequence[Tool] = (), *, add_generation_prompt: bool = False
) -> list[str]:
    """The conversation as special tokens and plain text, in order."""
    out = [BOS]
    rest = list(messages)
    system = ""
    if rest and rest[0].role in ("system", "developer"):
        system = rest.pop(0).content
    if system or tools:
        out += [SYSTEM, escape(system), *_tool_segments(tools), END]
    for message in rest:
        out += [_TURN[message.role], escape(message.content)]
        for call in message.calls:
            out += [CALL, escape(call.name)]
            for key, value in call.arguments.items():
                out += [ARGUMENT, escape(key), VALUE, escape(value_text(value))]
        out.append(END)
    if add_generation_prompt:
        out.append(ASSISTANT)
    return [segment for segment in out if segment]


def _tool_segments(tools: Sequence[Tool]) -> list[str]:
    out: list[str] = []
    for tool in tools:
        out += [TOOL, escape(tool.name)]
        for name in tool.required:
            out += [ARGUMENT, escape(name)]
        for name in tool.optional:
            out += [OPTION, escape(name)]
    return out


def chat_messages(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """OpenAI chat messages in the model's form: one text each, decoded arguments, plain results.

    Raises:
        ValueError: a role is unknown, or the arguments of a call are not a JSON object.
    """
    out = []
    for message in messages:
        role, text = message["role"], _content_text(message.get("content"))
        if role not in _TURN:
            raise ValueError(f"there is no role {role!r}")
        calls = tuple(_call(call["function"]) for call in message.get("tool_calls") or ())
        out.append(Message(role, result_text(text) if role == "tool" else text, calls))
    return out


def _content_text(content: Any) -> str:
    """The text of a message: a string, null, or a list of text parts."""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content or () if part.get("type") == "text")


def _call(function: Mapping[str, Any]) -> Call:
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, Mapping):
        raise ValueError(f"the arguments of a call to {function['name']!r} are no JSON object")
    return Call(function["name"], dict(arguments))


def template_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages in the form of chat_template.jinja; the tokenizer reads no text in them as a special token."""
    return [
        {
            "role": message.role,
            "content": escape(message.content),
            "tool_calls": [
                {
                    "function": {
                        "name": escape(call.name),
                        "arguments": {escape(k): escape(value_text(v)) for k, v in call.arguments.items()},
                    }
                }
                for call in message.calls
            ],
        }
        for message in messages
    ]


def tools_from_schemas(schemas: Sequence[Mapping[str, Any]]) -> list[Tool]:
    """OpenAI `tools` as signatures; names beyond the schema's `properties` are left out."""
    out = []
    for schema in schemas:
        function = schema["function"]
        parameters = function.get("parameters") or {}
        properties = parameters.get("properties") or {}
        required = tuple(name for name in properties if name in (parameters.get("required") or ()))
        stated = {name: prop.get("type") for name, prop in properties.items() if isinstance(prop, Mapping)}
        types = {name: kind for name, kind in stated.items() if isinstance(kind, str)}
        optional = tuple(name for name in properties if name not in required)
        out.append(Tool(function["name"], required, optional, types))
    return out


def value_text(value: Any) -> str:
    """A JSON value in the model's form: a text unchanged, any other value as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def result_text(content: str) -> str:
    """A tool result for the model: flat JSON objects become `key: value; key: value`.

    For a list the model sees the number of entries and the first entry, as in training.
    Text that is not JSON stays as it is.
    """
    try:
        value = json.loads(content)
    except ValueError:
        return content
    if isinstance(value, list) and value:
        first = result_text(json.dumps(value[0], ensure_ascii=False))
        return first if len(value) == 1 else f"{len(value)} results; {first}"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {value_text(item)}" for key, item in value.items())
    return content


def escape(text: str) -> str:
    """User text in which the tokenizer finds no special token after the template has rendered it."""
    return _SPECIAL.sub(lambda match: match.group(0).replace("<", "< "), text)


def parse_completion(text: str, tools: Sequence[Tool] = ()) -> Completion:
    """Content and calls of a completion that has its special tokens as literal text.

    A call without a name is dropped; a value that does not fit its JSON type stays text.
    """
    types = {tool.name: tool.types for tool in tools}
    content, *calls = text.split(END, 1)[0].split(CALL)
    parsed = []
    for call in calls:
        name, *pairs = (part.strip() for part in call.split(ARGUMENT))
        if not name:
            continue
        arguments = {}
        for pair in pairs:
            key, separator, value = (part.strip() for part in pair.partition(VALUE))
            if key and separator:
                arguments[key] = _typed(value, types.get(name, {}).get(key, "string"))
        parsed.append(Call(name, arguments))
    return Completion(content.strip(), tuple(parsed))


def _typed(value: str, json_type: str) -> Any:
    """The text as the schema's JSON type, or as text if it does not fit that type."""
    if json_type not in _TYPES:
        return value
    try:
        parsed = json.loads(value.lower() if json_type == "boolean" else value, parse_constant=_no_number)
    except ValueError:
        return value
    fits = isinstance(parsed, _TYPES[json_type]) and (json_type == "boolean" or not isinstance(parsed, bool))
    return parsed if fits else value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
