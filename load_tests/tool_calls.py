"""How many tool calls are right as a client gets them: ``python -m load_tests.tool_calls --data DIR``.

The same calls of the schema-guided dialogues' dev part as in the assistant's card, asked of a real server through
``/v1/chat/completions``: greedy, ``tool_choice`` auto, the history up to the call as it was. The server's grammar lets
the model write listed names only, which the card's figures, of the bare model, don't have. Then the card's whole
dialogues, played and followed (``models/recipes/assistant/whole.py``). With ``--strict`` the tools are strict as well.
With ``--write`` the table goes into RESULTS.md.
"""

import argparse
import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from load_tests.machine import describe
from load_tests.section import replace_section
from load_tests.served import server
from models.families.hearth_assistant import Call, Completion, Message, Tool
from models.recipes.assistant.data import DevRow, dev_rows
from models.recipes.assistant.evaluate import as_text, call_turns, text_turns
from models.recipes.assistant.whole import DIALOGUES, Course, as_scenario, chosen, follow, play, scenarios

CALLS = 600
CLIENTS = 8
TITLE = "Tool calls of `assistant`, as served"
NOTE = """\
The calls are those of the card, which measures the bare model. "Other arguments" are one more or one less than the
dialogue's; "too long" is a history that does not fit the context. A whole dialogue is right where all its calls were
made, each once, with the right arguments: played, its user's turns come from a script and the model's answers stay;
followed, the history is the dialogue's own."""
WHY = re.compile(r"wrong call|no call")  # how a dialogue failed, without which call
RESULTS = Path(__file__).with_name("RESULTS.md")


def tool_schema(tool: Tool, *, strict: bool) -> dict[str, Any]:
    """A tool as clients write it."""
    properties = {name: {"type": tool.types.get(name, "string")} for name in (*tool.required, *tool.optional)}
    parameters = {"type": "object", "properties": properties, "required": list(tool.required)}
    function: dict[str, Any] = {"name": tool.name, "parameters": parameters}
    if strict:
        parameters["additionalProperties"] = False
        function["strict"] = True
    return {"type": "function", "function": function}


def message_json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as clients write them; calls and results get ids in their order."""
    written: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for place, message in enumerate(messages):
        entry: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.calls:
            open_calls = [f"call_{place}_{number}" for number in range(len(message.calls))]
            functions = [{"name": call.name, "arguments": json.dumps(dict(call.arguments))} for call in message.calls]
            entry["tool_calls"] = [
                {"id": name, "type": "function", "function": function}
                for name, function in zip(open_calls, functions, strict=True)
            ]
        elif message.role == "tool":
            entry["tool_call_id"] = open_calls.pop(0)
        written.append(entry)
    return written


async def next_message(
    client: httpx.AsyncClient, messages: Sequence[Message], tools: Sequence[Tool], *, strict: bool
) -> dict[str, Any] | None:
    """The server's answer to a history; None if the history is too long for the model."""
    body = {
        "model": "assistant",
        "messages": message_json(messages),
        "tools": [tool_schema(tool, strict=strict) for tool in tools],
        "temperature": 0,
    }
    answer = await client.post("/v1/chat/completions", json=body)
    if answer.status_code == 400 and answer.json()["error"]["code"] == "context_length_exceeded":
        return None
    if answer.status_code != 200:
        raise RuntimeError(answer.text)
    return dict(answer.json()["choices"][0]["message"])


async def run_whole(client: httpx.AsyncClient, course: Course, tools: Sequence[Tool], *, strict: bool) -> str:
    """A dialogue from its first turn to its end: "right", or how it fails."""
    try:
        messages = next(course)
        while (message := await next_message(client, messages, tools, strict=strict)) is not None:
            calls = [call["function"] for call in message.get("tool_calls") or []]
            made = tuple(Call(call["name"], json.loads(call["arguments"])) for call in calls)
            messages = course.send(Completion(message.get("content") or "", made))
    except StopIteration as end:
        return WHY.match(end.value)[0] if end.value else "right"
    return "too long"


def outcome(row: DevRow, position: int, message: dict[str, Any] | None) -> str:
    """How far the answer is the dialogue's own call."""
    if message is None:
        return "too long"
    wanted = row.messages[position].calls[0]
    calls = message.get("tool_calls") or []
    if not calls:
        return "no call"
    if len(calls) > 1 or calls[0]["function"]["name"] != wanted.name:
        return "another call"
    arguments = json.loads(calls[0]["function"]["arguments"])
    if as_text(arguments) == as_text(wanted.arguments):
        return "exact"
    return "another value" if set(arguments) == set(wanted.arguments) else "other arguments"


async def measure(port: int, rows: Sequence[DevRow], limit: int, *, strict: bool) -> dict[str, Counter[str]]:
    """Outcomes of calls of trained and of new services, of turns where text was wanted, and of whole dialogues."""
    gate = asyncio.Semaphore(CLIENTS)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:

        async def asked(row: DevRow, position: int) -> dict[str, Any] | None:
            async with gate:
                return await next_message(client, row.messages[:position], row.tools, strict=strict)

        async def whole(course: Course, tools: Sequence[Tool]) -> str:
            async with gate:
                return await run_whole(client, course, tools, strict=strict)

        found = {}
        for name, turns in (
            ("trained services", call_turns(rows, limit, trained=True)),
            ("new services", call_turns(rows, limit // 2, trained=False)),
        ):
            messages = await asyncio.gather(*(asked(row, position) for row, position in turns))
            found[name] = Counter(outcome(*turn, message) for turn, message in zip(turns, messages, strict=True))
        messages = await asyncio.gather(*(asked(*turn) for turn in text_turns(rows, limit // 2)))
        found["text wanted"] = Counter(
            "a call" if message and message.get("tool_calls") else "text" for message in messages
        )
        courses = {"whole scenarios": [(play(scenario), scenario.tools) for scenario in scenarios()]}
        for name, trained in (("trained", True), ("new", False)):
            some = chosen(rows, min(limit, DIALOGUES), trained=trained)
            courses[f"whole dialogues, played, {name} services"] = [(play(as_scenario(r)), r.tools) for r in some]
            courses[f"whole dialogues, followed, {name} services"] = [(follow(r), r.tools) for r in some]
        for name, some_courses in courses.items():
            found[name] = Counter(await asyncio.gather(*(whole(*one) for one in some_courses)))
    return found


def table(found: dict[str, Counter[str]]) -> str:
    """One line a kind of turn."""
    lines = ["| turns | rows | outcome |", "|---|---:|---|"]
    for name, counts in found.items():
        shares = ", ".join(f"{outcome} {count / counts.total():.3f}" for outcome, count in counts.most_common())
        lines.append(f"| {name} | {counts.total()} | {shares} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with dialogue/")
    parser.add_argument("--calls", type=int, default=CALLS, help="of trained services; half as many of the others")
    parser.add_argument("--strict", action="store_true", help="the tools are strict")
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    options = parser.parse_args()
    rows = list(dev_rows(options.data))
    random.Random(2).shuffle(rows)  # as the card's
    with server(["assistant"]) as served:
        found = asyncio.run(measure(served.port, rows, options.calls, strict=options.strict))
    report = table(found)
    print(report)
    if options.write:
        command = f"`python -m load_tests.tool_calls --data DIR{' --strict' if options.strict else ''} --write`"
        replace_section(RESULTS, TITLE, f"{command}, {describe()}.\n\n{report}\n\n{NOTE}")


if __name__ == "__main__":
    main()
