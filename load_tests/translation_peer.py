"""Translation and sentiment beside a plain loop on the same model files: ``python -m load_tests.translation_peer``.

The peer is LibreTranslate's way (argostranslate's), without its HTTP: a request's texts are one CTranslate2 call,
nothing is batched across requests, and one model serves the requests one after another. Ours goes through HTTP, splits
a text into sentences itself and judges what comes out. Both decode with the manifest's beam, in as many threads as
there are cores: the peer in one call of so many threads, ours in so many lanes of one. They take turns in one run, and
the medians of the turns are told, so that what else the machine does hurts both. Processor time, of all processes of a
side, says what each costs; the peer's threads also spend some waiting for each other. With ``--write`` the table goes
into TRANSLATION.md.

It takes two and a half minutes, and wants the machine to itself.
"""

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from load_tests.client import Connection, post
from load_tests.machine import describe
from load_tests.section import replace_section
from load_tests.served import Served, server
from load_tests.texts import sentences
from models.registry import ModelCard, find_models, load_family
from models.tokenizers import load_tokenizer
from server.batching.cores import usable_cores
from server.settings import SHIPPED_MODELS
from server.tasks.encoding import Head

TEXTS = 4
"""Texts of one request: the sentences of a short paragraph, or four short reviews."""
CLIENTS = (1, 32)
BATCH_ROWS = 32
"""argostranslate's default."""
RESULTS = Path(__file__).with_name("TRANSLATION.md")

Call = Callable[[list[str]], object]
"""The function that serves one request of the peer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The results of one turn."""

    texts_per_s: float
    characters_per_s: float
    cpu_s_per_text: float


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of request, for both sides."""

    name: str
    peer: Call
    path: str
    body: Callable[[list[str]], dict[str, Any]]


def _shipped(name: str) -> ModelCard:
    return next(card for card in find_models(SHIPPED_MODELS) if card.id == name)


def translate_peer(target: str) -> Call:
    """Translate one request's sentences in one call."""
    card = _shipped("translate")
    section, family, tokenizer, turn = card.translation, load_family(card), load_tokenizer(card), threading.Lock()
    assert section is not None
    translator = ctranslate2.Translator(str(card.folder), compute_type="int8_float32", intra_threads=usable_cores())

    def call(texts: list[str]) -> list[str]:
        pieces = [tokenizer.tokens(tokenizer.encode(text)) for text in texts]
        rows = [family.source_row(section, row, "en", target) for row in pieces]
        with turn:
            results = translator.translate_batch(
                rows,
                beam_size=section.beam_size,
                max_batch_size=BATCH_ROWS,
                max_decoding_length=max(family.max_target_tokens(section, len(row)) for row in rows),
            )
        return [tokenizer.decode([tokenizer.id(token) for token in result.hypotheses[0]]) for result in results]

    return call


def sentiment_peer() -> Call:
    """Score one request's texts in one call."""
    card = _shipped("sentiment")
    tokenizer, head, turn = load_tokenizer(card), Head(card.heads[0], card.folder), threading.Lock()
    encoder = ctranslate2.Encoder(str(card.folder), compute_type="int8_float32", intra_threads=usable_cores())

    def call(texts: list[str]) -> object:
        rows = [tokenizer.encode_row(text) for text in texts]
        with turn:
            hidden = np.asarray(encoder.forward_batch(rows).last_hidden_state)
        return head.probabilities(np.stack([hidden[i, : len(row)].mean(axis=0) for i, row in enumerate(rows)]))

    return call


def peer_rate(call: Call, requests: list[list[str]], clients: int, seconds: float) -> Rate:
    """Closed loop: each client sends its next request when it has its answer."""
    until, numbers, done = time.perf_counter() + seconds, count(), [0, 0]

    def client() -> None:
        while time.perf_counter() < until:
            texts = requests[next(numbers) % len(requests)]
            call(texts)
            done[0] += len(texts)
            done[1] += sum(map(len, texts))

    began_s, cpu_s = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - began_s
    return Rate(done[0] / took_s, done[1] / took_s, (time.process_time() - cpu_s) / done[0])


async def our_rate(served: Served, work: Work, requests: list[list[str]], clients: int, seconds: float) -> Rate:
    """The same through the server."""
    until, numbers, done = time.perf_counter() + seconds, count(), [0, 0]
    bodies = [post(work.path, work.body(texts)) for texts in requests]

    async def client() -> None:
        connection = await Connection.to(served.port)
        while time.perf_counter() < until:
            i = next(numbers) % len(requests)
            answer = await connection.send(bodies[i])
            assert answer.status == 200, answer.body
            done[0] += len(requests[i])
            done[1] += sum(map(len, requests[i]))
        connection.close()

    began_s, cpu_s = time.perf_counter(), sum(served.cpu_s.values())
    await asyncio.gather(*(client() for _ in range(clients)))
    took_s = time.perf_counter() - began_s
    return Rate(done[0] / took_s, done[1] / took_s, (sum(served.cpu_s.values()) - cpu_s) / done[0])


def table(found: dict[tuple[str, int, str], list[Rate]]) -> list[str]:
    """The medians of the turns, a row a side."""
    lines = [
        "| work | clients | | texts/s | from - to | characters/s | processor ms/text |",
        "|---|---|---|---|---|---|---|",
    ]
    for (work, clients, side), rates in found.items():
        each = sorted(rate.texts_per_s for rate in rates)
        characters = statistics.median(rate.characters_per_s for rate in rates)
        cpu_ms = 1000 * statistics.median(rate.cpu_s_per_text for rate in rates)
        middle, spread = f"{statistics.median(each):.1f}", f"{each[0]:.1f} - {each[-1]:.1f}"
        lines.append(f"| {work} | {clients} | {side} | {middle} | {spread} | {characters:.0f} | {cpu_ms:.1f} |")
    return lines


def measure(works: Sequence[Work], turns: int, seconds: float) -> dict[tuple[str, int, str], list[Rate]]:
    """Turns of both sides, for each kind of work and number of clients."""
    texts = sentences(400)
    requests = [texts[i : i + TEXTS] for i in range(0, len(texts), TEXTS)]
    found: dict[tuple[str, int, str], list[Rate]] = {}
    with server(["translate", "sentiment"]) as served:
        for _ in range(turns):
            for work in works:
                for clients in CLIENTS:
                    ours = asyncio.run(our_rate(served, work, requests, clients, seconds))
                    theirs = peer_rate(work.peer, requests, clients, seconds)
                    found.setdefault((work.name, clients, "hearth, HTTP"), []).append(ours)
                    found.setdefault((work.name, clients, "loop, in process"), []).append(theirs)
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of each, at each number of clients")
    parser.add_argument("--target", default="de")
    parser.add_argument("--write", action="store_true", help="put the table into TRANSLATION.md")
    options = parser.parse_args()

    def paragraph(texts: list[str]) -> dict[str, Any]:
        return {"model": "translate", "input": " ".join(texts), "source": "en", "target": options.target}

    works = (
        Work(f"en-{options.target}, sentences", translate_peer(options.target), "/v1/translations", paragraph),
        Work("sentiment", sentiment_peer(), "/v1/sentiment", lambda texts: {"model": "sentiment", "input": texts}),
    )
    machine = describe()
    found = measure(works, options.turns, options.seconds)
    lines = [
        f"`python -m load_tests.translation_peer --write`, {options.turns} turns of {options.seconds:g} s, requests of "
        f"{TEXTS} texts. {machine}.",
        "",
        *table(found),
    ]
    print("\n".join(lines))
    if options.write:
        replace_section(RESULTS, "Beside LibreTranslate's loop", "\n".join(lines))


if __name__ == "__main__":
    main()
