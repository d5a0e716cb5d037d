"""Reads the shared dialogue files as conversations with tools, in the model's own form.

This module knows the sources' habits (STAR's `api.is_equal_to("x")`, SGD's schemas), but nothing of tokens.
"""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.families.hearth_assistant import Call, Message, Tool, result_text
from models.recipes.assistant.swapping import pools_of_values

_STAR_COMPARISON = re.compile(r"^api\.(\w+)\((.*)\)$", re.S)
_STAR_OPERATORS = {
    "is_equal_to": "",
    "is_greater_than": "> ",
    "is_less_than": "< ",
    "is_at_least": ">= ",
    "is_at_most": "<= ",
    "is_one_of": "",
    "is_not": "not ",
}
_REQUIRED_SHARE = 0.9  # an argument in nine calls of ten counts as required where no schema says


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, their tools, and their source."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    source: str


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of an .xz jsonl file."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def clean_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as plain values: STAR writes them as code."""
    return {key: _clean_value(value) for key, value in arguments.items()}


def _clean_value(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _STAR_COMPARISON.match(value)
    prefix = ""
    if match:
        prefix = _STAR_OPERATORS.get(match.group(1), match.group(1) + " ")
        value = match.group(2)
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"')
    return prefix + value.strip()


def conversation_messages(row: Mapping[str, Any], *, keep_echo: bool) -> tuple[Message, ...]:
    """The turns of a row; each call becomes a turn of its own, followed by its result.

    Without `keep_echo` a result leaves out the fields that only repeat the call's arguments.
    """
    out: list[Message] = []
    for turn in row["messages"]:
        for call in turn.get("calls", ()):
            arguments = clean_arguments(call["arguments"])
            out.append(Message("assistant", "", (Call(call["name"], arguments),)))
            result = call["result"]
            if isinstance(result, dict) and not keep_echo:
                result = {k: v for k, v in result.items() if str(v) != str(arguments.get(k)) and k != "id"}
            count = call.get("n_results") or 0
            text = result_text(json.dumps(result, ensure_ascii=False)) if result else "no results"
            out.append(Message("tool", f"{count} results; {text}" if count > 1 and result else text))
        out.append(Message(turn["role"], " ".join(turn["content"].split())))
    return tuple(out)


class Catalogue:
    """The tools of every source: SGD's from its schemas, the others' from the calls seen.

    `pools`: the values that SGD's calls give to the arguments that take any.
    """

    def __init__(self, data: Path) -> None:
        self._sgd: dict[str, list[Tool]] = {}
        open_arguments: set[str] = set()
        for service in read_jsonl(data / "dialogue" / "sgd-services.jsonl.xz"):
            self._sgd[service["service_name"]] = [
                Tool(intent["name"], tuple(intent["required_slots"]), tuple(intent["optional_slots"]))
                for intent in service["intents"]
            ]
            open_arguments |= {slot["name"] for slot in service["slots"] if not slot["is_categorical"]}
        rows = list(read_jsonl(data / "dialogue" / "train.jsonl.xz"))
        self._seen = _tools_from_calls(rows)
        trained = [row for row in rows if row["source"] == "sgd-train"]
        conversations = (conversation_messages(row, keep_echo=False) for row in trained)
        self.pools = pools_of_values(conversations, frozenset(open_arguments))
        self._trained = {name for row in trained for name in row["domain"]}

    def of(self, row: Mapping[str, Any]) -> list[Tool]:
        """The tools of the row's services, those it calls among them."""
        called = [call["name"] for turn in row["messages"] for call in turn.get("calls", ())]
        if not row["source"].startswith("sgd"):
            known = self._seen.get(row["source"], {})
            if len(known) <= 10:
                return list(known.values())
            return [known[name] for name in dict.fromkeys(called) if name in known]
        tools = {tool.name: tool for service in row["domain"] for tool in self._sgd.get(service, ())}
        for name in called:
            if name not in tools:
                tools.update({t.name: t for service in self._sgd.values() for t in service if t.name == name})
        return list(tools.values())

    def trained_names(self, row: Mapping[str, Any]) -> frozenset[str]:
        """Names of the tools of those of an SGD row's services that occur in training."""
        services = [self._sgd[service] for service in row["domain"] if service in self._trained]
        return frozenset(tool.name for tools in services for tool in tools)

    def all_tools(self, source: str) -> list[Tool]:
        """Tools that may stand in as distractors for a source."""
        if source.startswith("sgd"):
            return [tool for service in self._sgd.values() for tool in service]
        return list(self._seen.get(source, {}).values())


def _tools_from_calls(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Tool]]:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    calls: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row["source"].startswith("sgd"):
            continue
        for turn in row["messages"]:
            for call in turn.get("calls", ()):
                key = (row["source"], call["name"])
                calls[key] += 1
                counts[key].update(call["arguments"].keys())
    out: dict[str, dict[str, Tool]] = defaultdict(dict)
    for (source, name), total in calls.items():
        frequent = {k: n for k, n in counts[source, name].items() if n >= max(2, 0.01 * total)}
        required = tuple(sorted(k for k, n in frequent.items() if n >= _REQUIRED_SHARE * total))
        optional = tuple(sorted(k for k in frequent if k not in required))
        out[source][name] = Tool(name, required, optional)
    return dict(out)
