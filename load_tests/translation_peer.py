"""Translation beside LibreTranslate's loop on the same model files: ``python -m load_tests.translation_peer``.

The peer is argostranslate's way, without its HTTP: a request's sentences are one CTranslate2 call, nothing is batched
across requests, and one translator serves them one after another. Ours goes through HTTP, splits the text into
sentences itself and judges what comes out. Both decode with the manifest's beam and as many threads as there are
cores. They take turns in one run, and the medians of the turns are told, so that what else the machine does hurts both.
Processor time, of all processes of a side, says what each costs, also on a machine that is busy with other things.
"""

import argparse
import asyncio
import statistics
import threading
import time
from itertools import count

import ctranslate2

from load_tests.client import Connection, post
from load_tests.machine import describe
from load_tests.served import Served, server
from load_tests.texts import sentences
from models.registry import find_models, load_family
from models.tokenizers import load_tokenizer
from server.batching.cores import usable_cores
from server.settings import SHIPPED_MODELS

SENTENCES = 4
"""Sentences of one request: a short paragraph."""
CLIENTS = (1, 32)
BATCH_ROWS = 32
"""argostranslate's default."""

Rate = tuple[float, float, float]
"""Sentences a second, characters a second, and processor seconds a sentence."""


class Peer:
    """The loop: one request at a time, its sentences in one call."""

    def __init__(self, target: str) -> None:
        card = next(card for card in find_models(SHIPPED_MODELS) if card.task == "translation")
        assert card.translation is not None
        self._section = card.translation
        self._family = load_family(card)
        self._tokenizer = load_tokenizer(card)
        self._target = target
        self._turn = threading.Lock()
        self._translator = ctranslate2.Translator(
            str(card.folder), compute_type="int8_float32", intra_threads=usable_cores()
        )

    def translate(self, texts: list[str]) -> list[str]:
        """Translate one request."""
        pieces = [self._tokenizer.tokens(self._tokenizer.encode(text)) for text in texts]
        rows = [self._family.source_row(self._section, row, "en", self._target) for row in pieces]
        with self._turn:
            results = self._translator.translate_batch(
                rows,
                beam_size=self._section.beam_size,
                max_batch_size=BATCH_ROWS,
                max_decoding_length=max(self._family.max_target_tokens(self._section, len(row)) for row in rows),
            )
        ids = ([self._tokenizer.id(token) for token in result.hypotheses[0]] for result in results)
        return [self._tokenizer.decode(row) for row in ids]


def peer_rate(peer: Peer, requests: list[list[str]], clients: int, seconds: float) -> Rate:
    """Closed loop: each client sends its next request when it has its answer."""
    until, numbers, done = time.perf_counter() + seconds, count(), [0, 0]

    def client() -> None:
        while time.perf_counter() < until:
            texts = requests[next(numbers) % len(requests)]
            peer.translate(texts)
            done[0] += len(texts)
            done[1] += sum(map(len, texts))

    began_s, cpu_s = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - began_s
    return done[0] / took_s, done[1] / took_s, (time.process_time() - cpu_s) / done[0]


async def our_rate(served: Served, requests: list[list[str]], target: str, clients: int, seconds: float) -> Rate:
    """The same through the server, a request's sentences as one text."""
    until, numbers, done = time.perf_counter() + seconds, count(), [0, 0]
    bodies = [
        post("/v1/translations", {"model": "translate", "input": " ".join(texts), "source": "en", "target": target})
        for texts in requests
    ]

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
    return done[0] / took_s, done[1] / took_s, (sum(served.cpu_s.values()) - cpu_s) / done[0]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a turn")
    parser.add_argument("--turns", type=int, default=4, help="turns of each, at each number of clients")
    parser.add_argument("--target", default="de")
    options = parser.parse_args()
    texts = sentences(400)
    requests = [texts[i : i + SENTENCES] for i in range(0, len(texts), SENTENCES)]
    peer = Peer(options.target)
    found: dict[tuple[int, str], list[Rate]] = {}
    with server(["translate"]) as served:
        for _ in range(options.turns):
            for clients in CLIENTS:
                ours = asyncio.run(our_rate(served, requests, options.target, clients, options.seconds))
                theirs = peer_rate(peer, requests, clients, options.seconds)
                found.setdefault((clients, "hearth, HTTP"), []).append(ours)
                found.setdefault((clients, "loop, in process"), []).append(theirs)
    print(f"{describe()}\n")
    print("| clients | | sentences/s | from - to | characters/s | processor ms/sentence |")
    print("|---|---|---|---|---|---|")
    for (clients, name), rates in found.items():
        each = sorted(rate[0] for rate in rates)
        characters = statistics.median(rate[1] for rate in rates)
        cpu_ms = 1000 * statistics.median(rate[2] for rate in rates)
        middle = statistics.median(each)
        print(
            f"| {clients} | {name} | {middle:.1f} | {each[0]:.1f} - {each[-1]:.1f} | {characters:.0f} | {cpu_ms:.0f} |"
        )


if __name__ == "__main__":
    main()
