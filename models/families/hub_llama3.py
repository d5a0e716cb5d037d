"""Decoders from a hub that call tools as Llama 3 does: a completion that is one JSON object, with ``parameters``."""

import json
from collections.abc import Collection, Sequence

from models.families.hub import Call, call_schema, json_call
from models.families.hub import chat_messages as chat_messages
from models.families.hub import template_messages as template_messages
from models.signatures import Signature

TAG = "<|python_tag|>"
CALLS_BEGIN = ("{", TAG)
"""Texts that begin a call."""
CALL_ENDS = "\x00"
"""A text that shows that the call before it is whole: none does, there is one call."""
CALLS_COME_FIRST = True
"""Whether only the beginning of a completion can be a call."""
CALL_TOKENS = (TAG,)
"""Tokens written inside a call: a control token here."""


def parse_calls(text: str, names: Collection[str], *, cut: bool = False) -> list[Call] | None:
    """The call that a completion is; None where it is something else, such as JSON that was asked for.

    Args:
        text: with the tag written out.
        names: of the tools there are: other JSON may look like a call.
        cut: a limit ended the completion, so what begins as a call and has no end is left out.
    """
    said = text.strip().removeprefix(TAG)
    try:
        call = json_call(json.loads(said), "parameters")
    except (ValueError, RecursionError):
        begins = [f'{{"name": "{name}"' for name in names]
        return [] if cut and any(said.startswith(one) or one.startswith(said) for one in begins) else None
    return [call] if call is not None and call.name in names else None


def call_grammar(tools: Sequence[Signature], *, required: bool, several: bool) -> str:
    """The grammar of a completion that may call a tool: one, since these models make no more at once.

    Args:
        tools: those that may be called; at least one.
        required: a call is made, and nothing said; else any text that is no JSON.
        several: makes no difference.
    """
    names = [f"f{i}" for i in range(len(tools))]
    said = [] if required else ["TEXT"]
    lines = [f"start: {' | '.join([*said, *names])}"]
    if not required:
        lines.append(r"TEXT: /[^{\s](?s:.*)/")
    lines += [f"{name}: {call_schema(tool, 'parameters')}" for name, tool in zip(names, tools, strict=True)]
    return "\n".join(lines)
