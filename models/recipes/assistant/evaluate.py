"""Step 5: every figure of the card, on the shipped int8 folder and on its float32 twin.

- perplexity: of what the assistant writes (text, calls, ends of turns) in the dev dialogues,
  histories as they were; over tokens, and per source;
- calls: for calls of SGD dev, the history up to it as it was (teacher-forced), tools of the
  dialogue's services listed with up to two others, greedy decoding. Exact: one call, same name,
  same arguments, values equal as strings. Apart: services (SGD's numbered versions) that occur in
  training, and new ones, whose names or arguments are others;
- whole dialogues (`whole.py`): scenarios, and those of SGD dev, of trained services and of others, played and followed;
- dates: made-up requests with a day or a time in them (`practice.day_drill`), and today's date in the system message;
- needless: share of the assistant's turns without a call in which the model makes one;
- fallback: share of held-out general questions answered with the trained fallback;
- speed: tokens a second of greedy decoding, one thread, one conversation.

Prints them. In the work folder of the training it then writes figures.json, the card and the manifest anew;
elsewhere, and with --sample, it writes nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.families.hearth_assistant import Completion, Message, Tool, parse_completion, segments, value_text
from models.recipes.assistant.card import has_facts, refresh_card
from models.recipes.assistant.chat import Assistant
from models.recipes.assistant.data import DevRow, dev_rows, practice_words
from models.recipes.assistant.dialogues import read_jsonl
from models.recipes.assistant.fallback import is_fallback
from models.recipes.assistant.practice import day_drill
from models.recipes.assistant.sheet import INPUTS, TOOLS
from models.recipes.assistant.whole import whole_dialogues

_CONTEXT_TOKENS = 1024
_CALLS = 600
_DATES = 300


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models/weights/assistant"))
    parser.add_argument("--sample", type=int, default=0, help="rows of each test; 0 takes all")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    tokenizer = arguments.out / "tokenizer.model"
    figures: dict[str, Any] = {}
    for name, folder, compute_type in (
        ("int8", arguments.out, "int8_float32"),
        ("float32", arguments.work / "float32", "float32"),
    ):
        if not folder.exists():
            continue
        assistant = Assistant(folder, tokenizer, compute_type, arguments.threads)
        figures[name] = evaluate(assistant, arguments.data, arguments.sample)
        figures[name]["size_bytes"] = (folder / "model.bin").stat().st_size
        print(name, json.dumps(figures[name], indent=1), flush=True)
    if arguments.sample or not has_facts(arguments.work):
        print("The card stays as it is: it is written of all rows, in the work folder of the training.")
        return
    assistant = Assistant(arguments.out, tokenizer, "int8_float32", arguments.threads)
    figures["sheet"] = [[text, tools, sheet_answer(assistant, text, tools)] for text, tools in INPUTS]
    (arguments.work / "figures.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")
    refresh_card(arguments.out, arguments.work)


def evaluate(assistant: Assistant, data: Path, sample: int) -> dict[str, Any]:
    """All figures of one model."""
    rows = list(dev_rows(data))
    random.Random(2).shuffle(rows)
    questions = [row["messages"][0]["content"] for row in read_jsonl(data / "instruction" / "dolly.dev.jsonl.xz")]
    figures: dict[str, Any] = {"perplexity": perplexity(assistant, rows[: sample or None])}
    limit = min(sample or _CALLS, _CALLS)
    figures["calls"] = call_matches(assistant, rows, limit, trained=True)
    figures["calls_new"] = call_matches(assistant, rows, limit // 2, trained=False)
    figures.update(whole_dialogues(assistant.answer, rows, sample))
    figures["dates"] = dated_calls(assistant, questions)
    figures["needless"] = needless_calls(assistant, rows, limit // 2)
    answered = [assistant.answer([Message("user", text)]).content for text in questions[: sample or None]]
    figures["fallback"] = {"share": sum(map(is_fallback, answered)) / len(answered), "rows": len(answered)}
    figures["tokens_per_s"] = speed(assistant)
    return figures


def perplexity(assistant: Assistant, rows: Sequence[DevRow]) -> dict[str, dict[str, float]]:
    """Perplexity a token of assistant turns, for all rows and by source."""
    loss: defaultdict[str, float] = defaultdict(float)
    tokens: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        value, count = assistant.assistant_loss(row.segments, _CONTEXT_TOKENS)
        for key in ("all", row.source):
            loss[key] += value
            tokens[key] += count
    return {key: {"value": math.exp(loss[key] / tokens[key]), "tokens": tokens[key]} for key in loss}


def call_matches(assistant: Assistant, rows: Sequence[DevRow], limit: int, *, trained: bool) -> dict[str, float]:
    """How often a call, the right one, and the right one with its arguments comes where the dialogue has it."""
    called = named = exact = 0
    turns = call_turns(rows, limit, trained=trained)
    for row, position in turns:
        got = next_turn(assistant, row, position)
        wanted = row.messages[position].calls[0]
        called += bool(got.calls)
        if len(got.calls) == 1 and got.calls[0].name == wanted.name:
            named += 1
            exact += as_text(got.calls[0].arguments) == as_text(wanted.arguments)
    share = 1 / max(len(turns), 1)
    return {"rows": len(turns), "called": called * share, "name": named * share, "exact": exact * share}


def dated_calls(assistant: Assistant, questions: Sequence[str]) -> dict[str, float]:
    """How often a call has the right date and time where the request says them in words."""
    words, rng = practice_words(questions), random.Random(6)
    right = 0
    for _ in range(_DATES):
        messages, tools = day_drill(words, rng)
        asked = [message.role for message in messages].index("user") + 1
        right += assistant.answer(messages[:asked], tools).calls == messages[asked].calls
    return {"rows": _DATES, "share": right / _DATES}


def call_turns(rows: Sequence[DevRow], limit: int, *, trained: bool) -> list[tuple[DevRow, int]]:
    """The first so many calls of services that training has, or has not: dialogue and position."""
    return [
        (row, position)
        for row in rows
        for position, message in enumerate(row.messages)
        if row.source == "sgd-dev" and message.calls and (message.calls[0].name in row.trained) == trained
    ][:limit]


def text_turns(rows: Sequence[DevRow], limit: int) -> list[tuple[DevRow, int]]:
    """Some of the assistant's turns that answer the user without a call: dialogue and position."""
    turns = [
        (row, position)
        for row in rows
        for position, message in enumerate(row.messages)
        if row.source == "sgd-dev"
        and position
        and message.role == "assistant"
        and not message.calls
        and row.messages[position - 1].role == "user"
    ]
    return random.Random(4).sample(turns, min(limit, len(turns)))


def needless_calls(assistant: Assistant, rows: Sequence[DevRow], limit: int) -> dict[str, float]:
    """How often the model calls where the dialogue has text after a user's turn."""
    turns = text_turns(rows, limit)
    return {
        "rows": len(turns),
        "share": sum(bool(next_turn(assistant, *turn).calls) for turn in turns) / max(len(turns), 1),
    }


def next_turn(assistant: Assistant, row: DevRow, position: int) -> Completion:
    """The model's answer at a position, after the original turns before it."""
    prompt = segments(row.messages[:position], row.tools, add_generation_prompt=True)
    return parse_completion(assistant.complete(prompt)[0], row.tools)


def as_text(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Arguments with their values as the strings that are compared."""
    return {key: " ".join(value_text(value).split()) for key, value in arguments.items()}


def speed(assistant: Assistant) -> float:
    """Tokens a second over the sheet's inputs."""
    start, tokens = time.perf_counter(), 0
    for text, _ in INPUTS:
        tokens += assistant.complete(segments([Message("user", text)], add_generation_prompt=True))[1]
    return tokens / (time.perf_counter() - start)


def sheet_answer(assistant: Assistant, text: str, with_tools: bool) -> str:
    """The turn as the server answers it, which lets it call listed tools only; calls written as name(key="value")."""
    tools: tuple[Tool, ...] = TOOLS if with_tools else ()
    got = assistant.answer([Message("user", text)], tools, may_call=with_tools)
    calls = [f"{c.name}({', '.join(f'{k}={v!r}' for k, v in c.arguments.items())})" for c in got.calls]
    return " ".join([got.content, *calls]).strip()


if __name__ == "__main__":
    main()
