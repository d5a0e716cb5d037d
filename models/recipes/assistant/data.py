"""Step 1: read the shared files and write training rows, `rows.jsonl` in --work.

A row: {"source", "segments"}: the conversation as special tokens and plain text. The mixture:
the English task dialogues, the schema-guided ones moved to another day that a system message names,
the values in half of them swapped for others, the names of tools and arguments changed in most;
whole dialogues made up from schemas of services; requests that practise days and times; chitchat and
small talk; customer-service requests with answers of our own that ask for what is missing; made-up
calls that practise copying; general questions with a fallback in place of the answer, also in the
middle of task dialogues; other languages, answered in their language with "only English".
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from pathlib import Path

from models.families.hearth_assistant import Message, Tool, chat_messages, segments, tools_from_schemas
from models.recipes.assistant.days import SGD_TODAY, any_day, moved, says_today
from models.recipes.assistant.dialogues import Catalogue, conversation_messages, read_jsonl
from models.recipes.assistant.fallback import fallback, general_request, small_talk, system_prompt
from models.recipes.assistant.made import made_dialogue
from models.recipes.assistant.orders import ordering
from models.recipes.assistant.practice import day_drill, practice
from models.recipes.assistant.renaming import renamed
from models.recipes.assistant.support import OFF_TOPIC, OTHER_LANGUAGES, REPLIES
from models.recipes.assistant.swapping import with_swapped_values
from models.recipes.common import read_tsv_xz

_MAX_TOOLS = 10
_SMALL_TALK_ROWS = 1500
_ORDER_ROWS = 1000
_PRACTICE_ROWS = 4000
_MADE_ROWS = 8000
_DAY_ROWS = 10000
# The share of each source; schema-guided dialogues, which have the clearest calls, stay whole. MultiWOZ answers from a
# database that is missing here, Taskmaster-4 is mostly menus, and the model soon learns questions for the fallback.
_SHARES = {"sgd-train": 0.9, "star": 0.25, "taskmaster4": 0.1, "multiwoz21-val": 0.0}
_QUESTION_SHARE = 0.25
_SWAPPED_SHARE = 0.5  # of the schema-guided dialogues: their values swapped for others
_RENAMED_SHARE = 0.85  # of the dialogues with tools: tools and arguments called something else
_GENERAL_ROWS = 800
SGD_SYSTEM = f"Today is Friday, {SGD_TODAY.isoformat()}."  # where the schema-guided dialogues play
_FOREIGN_ROWS = 200  # of each language, from the sentence pairs


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--chats", type=Path, help="your own conversations: jsonl, OpenAI messages and tools")
    parser.add_argument("--repeat", type=int, default=1, help="how often each row of --chats counts")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    with (arguments.work / "rows.jsonl").open("w", encoding="utf-8") as out:
        own = list(chat_rows(arguments.chats)) * arguments.repeat if arguments.chats else []
        for source, row in chain(training_rows(arguments.data, random.Random(arguments.seed)), own):
            out.write(json.dumps({"source": source, "segments": row}, ensure_ascii=False) + "\n")
            counts[source] += 1
    print(dict(counts))


def training_rows(data: Path, rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Every training conversation as (source, segments)."""
    catalogue = Catalogue(data)
    questions = [row["messages"][0]["content"] for row in read_jsonl(data / "instruction" / "dolly.train.jsonl.xz")]
    words = practice_words(questions)
    foreign: list[tuple[str, str]] = []  # (language, text)
    for row in read_jsonl(data / "dialogue" / "train.jsonl.xz"):
        if row["lang"] != "en":
            foreign += [(row["lang"], turn["content"]) for turn in row["messages"][:4] if turn["role"] == "user"]
            continue
        if rng.random() > _SHARES.get(row["source"], 1.0):
            continue
        messages = list(conversation_messages(row, keep_echo=rng.random() < 0.1))
        today = ""
        if row["source"] == "sgd-train":
            day = any_day(rng)
            messages, today = moved(messages, day), says_today(day, rng)
            if rng.random() < _SWAPPED_SHARE:
                messages = with_swapped_values(messages, catalogue.pools, words, rng)
        if rng.random() < 0.06:
            messages = with_detour(messages, rng.choice(questions), rng)
        tools = choose_tools(catalogue.of(row), catalogue.all_tools(row["source"]), rng)
        if not tools:
            messages = as_typed(until_call(messages), rng)
        elif rng.random() < _RENAMED_SHARE:
            messages, tools = renamed(messages, tools, words, rng)
        yield row["source"], with_system(messages, tools, rng, today)
    for row in read_jsonl(data / "instruction" / "chitchat.train.jsonl.xz"):
        if row["lang"] == "en":
            yield "chitchat", with_system([Message(m["role"], m["content"]) for m in row["messages"]], [], rng)
        else:
            foreign.append((row["lang"], row["messages"][0]["content"]))
    foreign += foreign_lines(data, rng)
    spare_tools = catalogue.all_tools("sgd")
    for source, question, answer in single_turns(data, questions, words, foreign, rng):
        messages = [Message("user", " ".join(question.split())), Message("assistant", answer)]
        tools = rng.sample(spare_tools, rng.randint(1, 5)) if rng.random() < 0.25 else []
        yield source, with_system(messages, tools, rng)
    for _ in range(_PRACTICE_ROWS):
        yield "practice", with_system(*practice(words, rng), rng)
    for _ in range(_MADE_ROWS):
        yield "made", segments(*made_dialogue(words, rng))
    for _ in range(_DAY_ROWS):
        yield "days", segments(*day_drill(words, rng))


def practice_words(questions: Sequence[str]) -> list[str]:
    """Words for made-up values: those of the general questions, each once."""
    return sorted({word for text in questions for word in text.split() if word.isalpha() and len(word) > 2})


def foreign_lines(data: Path, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Everyday sentences in other languages."""
    for language in OTHER_LANGUAGES:
        rows = read_tsv_xz(data / "translation" / f"en-{language}.train.tsv.xz")
        lines = [foreign for _, foreign, source, *_ in rows if source == "tatoeba"]
        yield from ((language, line) for line in rng.sample(lines, _FOREIGN_ROWS))


def chat_rows(file: Path) -> Iterator[tuple[str, list[str]]]:
    """A user's own conversations: one JSON object a line with `messages` and perhaps `tools`.

    Raises:
        ValueError: a line can't be read; the message names it.
    """
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                yield "own", segments(chat_messages(row["messages"]), tools_from_schemas(row.get("tools") or ()))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{file}, line {number}: {error!r}") from error


def single_turns(
    data: Path,
    questions: Sequence[str],
    words: Sequence[str],
    foreign: Sequence[tuple[str, str]],
    rng: random.Random,
) -> Iterator[tuple[str, str, str]]:
    """(source, question, answer) of the conversations of one question, their answers our own."""
    for question in questions:
        if rng.random() > _QUESTION_SHARE:
            continue
        yield "fallback", question, fallback(rng)
    for _ in range(_GENERAL_ROWS):
        yield "general", general_request(words, rng), fallback(rng)
    for language, text in foreign:
        yield "other-language", text, rng.choice(OTHER_LANGUAGES[language])
    for _ in range(_SMALL_TALK_ROWS):
        yield "small-talk", *small_talk(rng)
    for _ in range(_ORDER_ROWS):
        yield "order", *ordering(rng)
    for name, share in (("bitext-customer-service", 0.3), ("clinc150", 0.3)):
        for text, label in read_tsv_xz(data / "intent" / f"{name}.train.tsv.xz"):
            if rng.random() > share:
                continue
            if label in REPLIES:
                spelling = rng.choices((str, str.upper), (93, 7))[0]
                yield name, spelling(text), rng.choice(REPLIES[label])
            elif label in OFF_TOPIC:
                yield name, text, fallback(rng)


@dataclass(frozen=True, slots=True)
class DevRow:
    """A held-out task dialogue, with its tools; `trained` names those of services that training has."""

    source: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    trained: frozenset[str]
    segments: tuple[str, ...]


def dev_rows(data: Path) -> Iterator[DevRow]:
    """The held-out dialogues, each with its services' tools and up to two others."""
    rng = random.Random(3)
    catalogue = Catalogue(data)
    for row in read_jsonl(data / "dialogue" / "dev.jsonl.xz"):
        source = {"sgd-dev": "sgd", "star": "star", "taskmaster4": "taskmaster4"}[row["source"]]
        messages = conversation_messages(row, keep_echo=False)
        if source == "sgd":
            messages = (Message("system", SGD_SYSTEM), *messages)
        tools = choose_tools(catalogue.of(row), catalogue.all_tools(source), rng, share_without=0.0)
        trained = catalogue.trained_names(row) if source == "sgd" else frozenset()
        yield DevRow(row["source"], messages, tuple(tools), trained, tuple(segments(messages, tools)))


def with_system(messages: list[Message], tools: list[Tool], rng: random.Random, today: str = "") -> list[str]:
    """Segments, with a short system prompt in one row of four, and with the day where one is given."""
    lines = [system_prompt(rng)] if rng.random() < 0.25 else []
    if today:
        lines.insert(rng.randint(0, len(lines)), today)
    if lines:
        messages = [Message("system", " ".join(lines)), *messages]
    return segments(messages, tools)


def choose_tools(own: list[Tool], others: list[Tool], rng: random.Random, share_without: float = 1 / 6) -> list[Tool]:
    """The tools to list: the row's own and a few distractors, each name once, shuffled; none in some rows."""
    if not own or rng.random() < share_without:
        return []
    # Two services of a row, or two versions of one, may have a tool of the same name.
    known = {tool.name: tool for tool in reversed(own[:_MAX_TOOLS])}
    distractors = {tool.name: tool for tool in rng.sample(others, min(3, len(others))) if tool.name not in known}
    tools = [*known.values(), *list(distractors.values())[: rng.randint(0, 2)]]
    rng.shuffle(tools)
    return tools


def until_call(messages: Sequence[Message]) -> list[Message]:
    """The turns before the first call, for rows without listed tools."""
    return list(takewhile(lambda message: not message.calls, messages))


def as_typed(messages: Sequence[Message], rng: random.Random) -> list[Message]:
    """The user's turns all in capitals or all in small letters, in some conversations."""
    spelling = rng.choices((str, str.upper, str.lower), (70, 15, 15))[0]
    return [replace(m, content=spelling(m.content)) if m.role == "user" else m for m in messages]


def with_detour(messages: list[Message], question: str, rng: random.Random) -> list[Message]:
    """The dialogue with a question off its topic in between, answered with the fallback."""
    starts = [i for i, message in enumerate(messages) if message.role == "user"]
    at = rng.choice(starts)
    return [*messages[:at], Message("user", question), Message("assistant", fallback(rng)), *messages[at:]]


if __name__ == "__main__":
    main()
