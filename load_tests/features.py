"""Measures each feature of generation beside plain decoding: the ratio of tokens a second, at 1 and at 32 clients.

    python -m load_tests.features                 # both tables, and into RESULTS.md; about six minutes on idle cores
    python -m load_tests.features --model 135M    # the second alone

Of the shipped ``assistant``, whose steps take so little that all else shows, and of a model of an ordinary size (random
weights). The same conversations again and again, so many tokens each, against a real server; all features take turns in
every round, and a ratio is the median over rounds of a feature's rate by that of plain decoding in the same round.
Tokens are those of the answers' usage, so what a grammar forces counts; the clients look for that alone in an answer,
since they share the server's cores.
"""

import argparse
import asyncio
import itertools
import re
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from load_tests import machine, stand_in
from load_tests.client import Connection, post
from load_tests.section import replace_section
from load_tests.served import Served, server
from load_tests.step import shapes
from load_tests.texts import Chat, chats

TOKENS = 64
CLIENTS = (1, 32)
_MADE = re.compile(rb'"completion_tokens":(\d+)')
TITLE = "What features cost (goal: 0.90, grammars 0.80)"
RESULTS = Path(__file__).with_name("RESULTS.md")

_LONG = {"type": "string", "minLength": 60}
SCHEMA = {
    "type": "object",
    "properties": {
        "guests": {"type": "integer", "minimum": 1, "maximum": 12},
        "seating": {"enum": ["indoors", "outdoors"]},
        "vegetarian": {"type": "boolean"},
        "wishes": {"type": "array", "items": _LONG, "minItems": 4},
    },
    "required": ["guests", "seating", "vegetarian", "wishes"],
    "additionalProperties": False,
}
"""A document that is never done within ``TOKENS``: all features make as many."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A model and how long it is measured."""

    name: str
    rounds: int
    answers: int
    """Of a turn of 32 clients; a turn of one has an eighth."""


MODELS = (Measured("assistant", 9, 128), Measured("135M", 4, 64))

FEATURES: Mapping[str, Mapping[str, Any]] = {
    "plain": {"ignore_eos": True},
    "seeded sampling": {"ignore_eos": True, "temperature": 1, "seed": 7},
    "top_p 0.9, seeded": {"ignore_eos": True, "temperature": 1, "top_p": 0.9, "seed": 7},
    "both penalties": {"ignore_eos": True, "presence_penalty": 0.5, "frequency_penalty": 0.5},
    "logit_bias, 20 ids": {"ignore_eos": True, "logit_bias": {str(i): -100 for i in range(300, 320)}},
    "logprobs 20": {"ignore_eos": True, "logprobs": True, "top_logprobs": 20},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema, strict": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    },
}


@dataclass(frozen=True, slots=True)
class Spent:
    """The time that one turn of a feature took."""

    tokens: int
    wall_s: float
    cpu_s: float
    """Of the server's processes."""


def requests(model: str, feature: Mapping[str, Any], talks: Sequence[Chat]) -> list[bytes]:
    """The requests of one turn."""
    common = {"model": model, "max_tokens": TOKENS, "temperature": 0, **feature}
    return [post("/v1/chat/completions", {**common, "messages": talk}) for talk in talks]


async def turn(served: Served, clients: int, work: Sequence[bytes]) -> Spent:
    """Have the clients do the work, each its next request when it has its answer.

    Raises:
        RuntimeError: an answer is not a good one.
    """
    connections = [await Connection.to(served.port) for _ in range(clients)]
    waiting = iter(work)
    made = 0
    cpu_s, began_s = sum(served.cpu_s.values()), time.perf_counter()

    async def client(connection: Connection) -> None:
        nonlocal made
        for request in waiting:
            answer = await connection.send(request)
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
            made += int(_MADE.findall(answer.body)[-1])

    await asyncio.gather(*map(client, connections))
    spent = Spent(made, time.perf_counter() - began_s, sum(served.cpu_s.values()) - cpu_s)
    for connection in connections:
        connection.close()
    return spent


def measure(served: Served, model: Measured, names: Sequence[str]) -> dict[tuple[str, int], list[Spent]]:
    """All turns, by feature and number of clients; the first round only warms up."""
    talks = chats(model.answers)
    work = {name: requests(model.name, FEATURES[name], talks) for name in names}
    spent: dict[tuple[str, int], list[Spent]] = {(name, clients): [] for name in names for clients in CLIENTS}
    for number, name, clients in itertools.product(range(model.rounds + 1), names, CLIENTS):
        share = work[name] if clients > 1 else work[name][: max(1, model.answers // 8)]
        one = asyncio.run(turn(served, clients, share))
        if number:
            spent[name, clients].append(one)
    return spent


def table(spent: Mapping[tuple[str, int], Sequence[Spent]]) -> list[str]:
    """A row a feature: tokens a second, and the ratios to plain decoding."""
    heads = [f"{clients} {'client' if clients == 1 else 'clients'}" for clients in CLIENTS]
    lines = [
        "| | " + " | ".join(f"tokens/s, {head} | ratio, clock | ratio, cpu" for head in heads) + " |",
        "|---|" + "---|" * 3 * len(heads),
    ]
    for name in dict.fromkeys(name for name, _ in spent):
        cells = [name]
        for clients in CLIENTS:
            mine, plain = spent[name, clients], spent["plain", clients]
            pairs = list(zip(mine, plain, strict=True))
            clock = statistics.median(one.tokens / one.wall_s * base.wall_s / base.tokens for one, base in pairs)
            cpu = statistics.median(one.tokens / one.cpu_s * base.cpu_s / base.tokens for one, base in pairs)
            rate = statistics.median(one.tokens / one.wall_s for one in mine)
            cells += [f"{rate:,.0f}", f"{clock:.2f}", f"{cpu:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def section(model: Measured, names: Sequence[str]) -> list[str]:
    """Measure one model: what was done, and its table."""
    about = machine.describe()
    with tempfile.TemporaryDirectory() as made:
        flags: tuple[str, ...] = ()
        if model.name in shapes.SHAPES:
            stand_in.write(Path(made), model.name)
            flags = ("--models-dir", made)
        with server([model.name], *flags) as served:
            lines = table(measure(served, model, names))
    told = f"`{model.name}`: {model.rounds} rounds of {model.answers} answers of {TOKENS} tokens. {about}."
    return [told, "", *lines, ""]


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[model.name for model in MODELS], help="default: all")
    parser.add_argument("--only", action="append", choices=list(FEATURES)[1:], help="beside plain; default: all")
    parser.add_argument("--rounds", type=int, help="instead of each model's own number")
    asked = parser.parse_args()
    names = ["plain", *(asked.only or list(FEATURES)[1:])]
    body = ["By `python -m load_tests.features`.", ""]
    for model in MODELS:
        if asked.model in (None, model.name):
            lines = section(model if asked.rounds is None else replace(model, rounds=asked.rounds), names)
            print("\n".join(lines), flush=True)
            body += lines
    if asked == parser.parse_args([]):
        replace_section(RESULTS, TITLE, "\n".join(body))


if __name__ == "__main__":
    main()
