"""Measures whole dialogues: the model must make the right calls, each once and with the right arguments.

A scenario (`scenarios.jsonl`, written before any training that it judges, and kept out of it) is played: its user's
turns come from a script, the model's own answers stay in the history, and a right call gets its result. A dialogue of
SGD dev is played the same way, although its user replies to the dialogue's own assistant. It is also followed: at each
of the assistant's turns the model gets the original history and writes the next turn. Both end at the first call that
is not the next right one. The model may make a call earlier than the dialogue, for instance if the dialogue asks once
more; in a played dialogue also later.

This module knows no model: `play` and `follow` yield histories and receive completions, so that a bare model and a
server can both answer. `python -m models.recipes.assistant.whole --data DATA` measures the shipped model.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from models.families.hearth_assistant import Call, Completion, Message, Tool, result_text, value_text
from models.recipes.assistant.data import DevRow, dev_rows

DIALOGUES = 100  # of trained services, and of new ones
_SCENARIOS = Path(__file__).with_name("scenarios.jsonl")
_MOST_CALLS_A_TURN = 3
Answer = Callable[[Sequence[Message], Sequence[Tool]], Completion]
Course = Generator[Sequence[Message], Completion, str]
"""Yields histories, receives the next turns, and returns the reason of a failure; an empty text means success."""


@dataclass(frozen=True, slots=True)
class WantedCall:
    """A call of a scenario: the texts that are right for each argument, and the JSON of its result."""

    name: str
    arguments: Mapping[str, tuple[str, ...]]
    result: str

    def is_made_by(self, call: Call) -> bool:
        """Whether a call has this name and these arguments, each with one of the right texts."""
        given = _as_text(call.arguments)
        return (
            call.name == self.name
            and given.keys() == self.arguments.keys()
            and all(text in self.arguments[key] for key, text in given.items())
        )


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script: the system message, the user's turns, and the expected calls, in order."""

    name: str
    system: str
    tools: tuple[Tool, ...]
    user: tuple[str, ...]
    calls: tuple[WantedCall, ...]


def scenarios(file: Path = _SCENARIOS) -> list[Scenario]:
    """The scenarios of a file: one JSON object a line."""
    with file.open(encoding="utf-8") as lines:
        return [_scenario(line) for line in lines]


def _scenario(line: str) -> Scenario:
    row = json.loads(line)
    return Scenario(
        row["name"],
        row["system"],
        tuple(Tool(tool["name"], tuple(tool["required"]), tuple(tool["optional"])) for tool in row["tools"]),
        tuple(row["user"]),
        tuple(
            WantedCall(
                call["name"],
                {key: (texts,) if isinstance(texts, str) else tuple(texts) for key, texts in call["arguments"].items()},
                json.dumps(call["result"], ensure_ascii=False),
            )
            for call in row["calls"]
        ),
    )


def play(scenario: Scenario) -> Course:
    """The scenario, turn by turn."""
    messages = [Message("system", scenario.system)] if scenario.system else []
    awaited = list(scenario.calls)
    for said in scenario.user:
        messages.append(Message("user", said))
        for _ in range(_MOST_CALLS_A_TURN):
            got = yield messages
            messages.append(Message("assistant", got.content, got.calls))
            for call in got.calls:
                if not awaited or not awaited[0].is_made_by(call):
                    return f"wrong call: {_written(call)}"
                messages.append(Message("tool", result_text(awaited.pop(0).result)))
            if not got.calls:
                break
    return f"no call of {awaited[0].name}" if awaited else ""


def as_scenario(row: DevRow) -> Scenario:
    """A held-out dialogue as a script: its user's turns, its calls and their results."""
    system, *messages = row.messages
    calls = [
        WantedCall(call.name, {key: (text,) for key, text in _as_text(call.arguments).items()}, result.content)
        for message, result in pairwise(messages)
        for call in message.calls
    ]
    user = tuple(message.content for message in messages if message.role == "user")
    return Scenario(row.source, system.content, row.tools, user, tuple(calls))


def follow(row: DevRow) -> Course:
    """The held-out dialogue, its own answers in the history."""
    calls = [message.calls[0] for message in row.messages if message.calls]
    made = passed = 0
    for position, message in enumerate(row.messages):
        if message.role != "assistant":
            continue
        passed += bool(message.calls)
        if message.calls and made >= passed:
            continue  # made before
        got = yield row.messages[:position]
        for call in got.calls:
            if (
                made == len(calls)
                or call.name != calls[made].name
                or _as_text(call.arguments) != _as_text(calls[made].arguments)
            ):
                return f"wrong call: {_written(call)}"
            made += 1
        if made < passed:
            return f"no call of {calls[made].name}"
    return ""


def chosen(rows: Sequence[DevRow], limit: int, *, trained: bool) -> list[DevRow]:
    """The first dialogues whose calls are all of services that training has, or not all."""
    return [
        row
        for row in rows
        if row.source == "sgd-dev"
        and (names := {call.name for message in row.messages for call in message.calls})
        and (names <= row.trained) == trained
    ][:limit]


def why_failed(course: Course, tools: Sequence[Tool], answer: Answer) -> str:
    """Run a dialogue with a model to its end; returns the reason of a failure, or an empty text."""
    try:
        messages = next(course)
        while True:
            messages = course.send(answer(messages, tools))
    except StopIteration as end:
        return str(end.value)


def whole_dialogues(answer: Answer, rows: Sequence[DevRow], limit: int) -> dict[str, dict[str, float]]:
    """The shares of scenarios, and of held-out dialogues of trained and of new services, that a model completes."""
    failures = {"scenarios": [why_failed(play(one), one.tools, answer) for one in scenarios()[: limit or None]]}
    for key, trained in (("trained", True), ("new", False)):
        some = chosen(rows, limit or DIALOGUES, trained=trained)
        failures[f"played_{key}"] = [why_failed(play(as_scenario(row)), row.tools, answer) for row in some]
        failures[f"followed_{key}"] = [why_failed(follow(row), row.tools, answer) for row in some]
    return {
        key: {"rows": len(found), "share": sum(not failure for failure in found) / max(len(found), 1)}
        for key, found in failures.items()
    }


def _as_text(arguments: Mapping[str, object]) -> dict[str, str]:
    return {key: " ".join(value_text(value).split()) for key, value in arguments.items()}


def _written(call: Call) -> str:
    return f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"


def main() -> None:
    """The command."""
    from models.recipes.assistant.chat import Assistant

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/weights/assistant"), help="the model's folder")
    parser.add_argument("--sample", type=int, default=0, help="dialogues of each kind; 0 takes all")
    arguments = parser.parse_args()
    assistant = Assistant(arguments.out, arguments.out / "tokenizer.model", "int8_float32")
    for scenario in scenarios():
        print(f"{scenario.name}: {why_failed(play(scenario), scenario.tools, assistant.answer) or 'right'}", flush=True)
    rows = list(dev_rows(arguments.data))
    random.Random(2).shuffle(rows)
    print(json.dumps(whole_dialogues(assistant.answer, rows, arguments.sample)))


if __name__ == "__main__":
    main()
