"""Decoders from a hub that call tools as Llama 3 does: a completion that is one JSON object, with ``parameters``."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from models.families.hub import Call, call_schema, json_call
from models.families.hub import chat_messages as chat_messages
from models.families.hub import template_messages as template_messages

TAG = "<|python_tag|>"
CALLS_BEGIN = ("{", TAG)
"""Texts that begin a call."""
CALLS_COME_FIRST = True
"""Whether only the beginning of a completion can be a call."""
CALL_TOKENS = (TAG,)
"""Tokens written inside a call: a control token here."""


def parse_calls(text: str, names: Collection[str]) -> list[Call]:
    """The call that a completion is; none where it is something else, such as JSON that was asked for.

    Args:
        text: with the tag written out.
        names: of the tools there are: other JSON may look like a call.
    """
    try:
        call = json_call(json.loads(text.strip().removeprefix(TAG)), "parameters")
    except ValueError:
        return []
    return [call] if call is not None and call.name in names else []


def call_grammar(tools: Sequence[Mapping[str, Any]], *, required: bool, several: bool) -> str:
    """The grammar of a completion that may call a tool: one, since these models make no more at once.

    Args:
        tools: those that may be called, in OpenAI's form; at least one.
        required: a call is made, and nothing said.
        several: makes no difference.
    """
    names = [f"f{i}" for i in range(len(tools))]
    lines = [f"start: {' | '.join(names)}" if required else f"start: TEXT | {' | '.join(names)}"]
    if not required:
        lines.append(r"TEXT: /[^{\s](?s:.*)/")
    lines += [f"{name}: {call_schema(tool, 'parameters')}" for name, tool in zip(names, tools, strict=True)]
    return "\n".join(lines)
