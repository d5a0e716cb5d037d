"""Decoders from a hub that call tools as Hermes and Qwen do: JSON between ``<tool_call>`` and ``</tool_call>``."""

import json
from collections.abc import Collection, Sequence

from models.families.hub import Call, call_schema, json_call
from models.families.hub import chat_messages as chat_messages
from models.families.hub import template_messages as template_messages
from models.signatures import Signature

BEGIN, END = "<tool_call>", "</tool_call>"
CALLS_BEGIN = (BEGIN,)
"""Texts that begin a call."""
CALL_ENDS = END
"""A text that shows that the call before it is whole."""
CALLS_COME_FIRST = False
"""Whether only the beginning of a completion can be a call."""
CALL_TOKENS = (BEGIN, END)
"""Tokens written inside a call: some tokenizers have them as control tokens."""


def parse_calls(text: str, names: Collection[str], *, cut: bool = False) -> list[Call] | None:
    """The calls of a completion from the first ``<tool_call>`` on; None where the text is not all calls.

    Args:
        text: with the marks written out.
        names: of the tools there are; a call of another is the caller's to answer.
        cut: a limit ended the completion, so a last call without its end is left out.
    """
    calls = []
    parts = text.split(BEGIN)[1:]
    for i, part in enumerate(parts):
        body, end, rest = part.partition(END)
        if cut and not end and i == len(parts) - 1:
            break
        try:
            call = json_call(json.loads(body))
        except (ValueError, RecursionError):
            call = None
        if call is None or rest.strip():
            return None
        calls.append(call)
    return calls


def call_grammar(tools: Sequence[Signature], *, required: bool, several: bool) -> str:
    """The grammar of a completion that may call tools.

    Args:
        tools: those that may be called; at least one.
        required: a call is made, and nothing said; else any text, also before calls.
        several: more than one call may be made.
    """
    names = [f"f{i}" for i in range(len(tools))]
    # The marks are texts and not tokens: in some vocabularies one is several.
    body = rf'({" | ".join(names)}) "\n{END}"'
    more = rf' ("\n{BEGIN}\n" {body})*' if several else ""
    said = [] if required else ["TEXT"]
    lines = [f"start: {' | '.join([*said, f'first {body}{more}'])}"]
    # What comes before the first call ends where the mark does: lazy, or it would go on over it.
    lines.append(rf'first: "{BEGIN}\n"' if required else rf"first[lazy]: /(?s:.*){BEGIN}\n/")
    if not required:
        lines.append(f"TEXT: /(?s:.+)/ & ~/(?s:.*){BEGIN}(?s:.*)/")
    lines += [f"{name}: {call_schema(tool)}" for name, tool in zip(names, tools, strict=True)]
    return "\n".join(lines)
