"""Decoders from a hub: each chats with its own template, which also shows its forms of thoughts and tool calls.

Messages have the form that templates of transformers expect: one text each, decoded arguments of calls, no null values.
This module knows text only.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def chat_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI chat messages in the form that templates expect.

    Raises:
        ValueError: the arguments of a call are not a JSON object.
    """
    return [_message(message) for message in messages]


def template_messages(messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Messages in the template's form, which they have already."""
    return messages


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = "system" if message["role"] == "developer" else message["role"]
    written: dict[str, Any] = {"role": role, "content": _text(message.get("content"))}
    for key in ("name", "tool_call_id", "reasoning_content"):
        if message.get(key) is not None:
            written[key] = message[key]
    if message.get("tool_calls"):
        written["tool_calls"] = [_call(call) for call in message["tool_calls"]]
    return written


def _text(content: Any) -> str:
    """The text of a message: a string, null, or a list of text parts."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or () if part.get("type") == "text")


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, Mapping):
        raise ValueError(f"the arguments of a call to {function['name']!r} are no JSON object")
    about = {key: call[key] for key in ("id", "type") if call.get(key) is not None}
    return {**about, "function": {"name": function["name"], "arguments": dict(arguments)}}
