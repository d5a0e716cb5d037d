"""What each feature of generation costs beside plain decoding: tokens a second as a ratio, at 1 and at 32 clients.

    python -m load_tests.features            # the whole table, and into RESULTS.md; about two minutes on idle cores

The same conversations again and again, so many tokens each, against a real server; all features take turns in every
round, and a ratio is the median over rounds of a feature's rate by that of plain decoding in the same round. Tokens are
those of the answers' usage, so what a grammar forces counts.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load_tests import machine
from load_tests.client import Connection, post
from load_tests.section import replace_section
from load_tests.served import Served, server
from load_tests.texts import Chat, chats

MODEL = "assistant"
TOKENS = 64
CLIENTS = (1, 32)
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
    """What one turn of a feature took."""

    tokens: int
    wall_s: float
    cpu_s: float
    """Of the server's processes."""


def requests(feature: Mapping[str, Any], talks: Sequence[Chat]) -> list[bytes]:
    """The requests of one turn."""
    common = {"model": MODEL, "max_tokens": TOKENS, "temperature": 0, **feature}
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
            made += answer.json()["usage"]["completion_tokens"]

    await asyncio.gather(*map(client, connections))
    spent = Spent(made, time.perf_counter() - began_s, sum(served.cpu_s.values()) - cpu_s)
    for connection in connections:
        connection.close()
    return spent


def measure(served: Served, names: Sequence[str], *, rounds: int, answers: int) -> dict[tuple[str, int], list[Spent]]:
    """All turns, by feature and number of clients; the first round only warms up."""
    talks = chats(answers)
    work = {name: requests(FEATURES[name], talks) for name in names}
    spent: dict[tuple[str, int], list[Spent]] = {(name, clients): [] for name in names for clients in CLIENTS}
    for number, name, clients in itertools.product(range(rounds + 1), names, CLIENTS):
        share = work[name] if clients > 1 else work[name][: max(1, answers // 8)]
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


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--answers", type=int, default=128, help="a turn of 32 clients; one client: an eighth")
    parser.add_argument("--only", action="append", choices=list(FEATURES)[1:], help="beside plain; default: all")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"file with the section; '{os.devnull}': none")
    asked = parser.parse_args()
    names = ["plain", *(asked.only or list(FEATURES)[1:])]
    about = machine.describe()
    with server([MODEL]) as served:
        spent = measure(served, names, rounds=asked.rounds, answers=asked.answers)
    lines = table(spent)
    print("\n".join(lines))
    if asked.results != Path(os.devnull):
        told = f"{asked.rounds} rounds of {asked.answers} answers of {TOKENS} tokens, `{MODEL}`, by"
        body = [f"{told} `python -m load_tests.features`. {about}.", "", *lines]
        replace_section(asked.results, TITLE, "\n".join(body))


if __name__ == "__main__":
    main()
