"""Requests at random times through HTTP: the step engine, our own Generator path, and llama.cpp's server.

    python -m load_tests.step.arrivals --llama-server PATH --write            # idle machine, about five minutes
    python -m load_tests.step.arrivals --shape 15M --seconds 5 --loads 2      # to try it

Every server gets the same requests at the same times: Poisson arrivals, prompts of 20 to 400 and outputs of 20 to 200
tokens (evenly), streamed completions of token ids, greedy, to their length. An open loop: who is slow gets a queue. The
Generator path is the server as it runs where nothing was compiled. Prompts have nothing in common, so no cache of
prefixes helps. ``--llama-server`` names the program; its model file needs the ``gguf`` package (``--llama FOLDER``).
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from load_tests import stand_in
from load_tests.section import replace_section
from load_tests.simulator import p95
from load_tests.step import gguf_file, shapes
from load_tests.step.compare import RESULTS
from models.cards import GenerationSpec
from server.batching.cores import usable_cores

SLOTS = 8
PROMPT_TOKENS, OUTPUT_TOKENS = (20, 400), (20, 200)
START_S = 120.0
DRAIN_S = 15.0
"""The seconds that the test waits for answers after the last arrival. A missing answer then counts as lost."""
OURS = "import sys; from server.cli import main; sys.exit(main(sys.argv[1:]))"
WITHOUT_STEP = f"from server.engines.step import support; support.core = lambda: None; {OURS}"


@dataclass(slots=True)
class Seen:
    """The clients' measurements of one server under one load."""

    first_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    tokens: int = 0
    lost: int = 0
    seconds: float = 0.0

    def cells(self) -> str:
        """The numbers of a table's row."""
        if not self.first_s or not self.gaps_s:
            return f"- | - | - | - | {self.lost}"
        mean_s, late_s, gap_s = statistics.mean(self.first_s), p95(self.first_s), p95(self.gaps_s)
        figures = (self.tokens / self.seconds, 1000 * mean_s, 1000 * late_s, 1000 * gap_s)
        return " | ".join(f"{figure:.0f}" for figure in figures) + f" | {self.lost}"


def write_model(models_dir: Path, name: str) -> Path:
    """The shape as a model folder of ours, with a tokenizer of words."""
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    shape = shapes.SHAPES[name]
    folder = models_dir / name
    if (folder / "model.toml").exists():
        return folder
    shapes.write(folder, shape)
    tokenizer = Tokenizer(WordLevel({f"t{i}": i for i in range(shape.vocabulary)}, unk_token="t0"))  # noqa: S106
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(["t1", "t2"])
    tokenizer.save(str(folder / "tokenizer.json"))
    stand_in.describe(folder, GenerationSpec(template=None, stop_tokens=("t2",), bos_token="t1"))  # noqa: S106
    return folder


@contextmanager
def started(command: Sequence[str], port: int, ready: str) -> Iterator[None]:
    """A server, from when it is ready until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + START_S
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if process.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"{command[0]} did not get ready")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def requests(name: str, rate_per_s: float, seconds: float) -> list[tuple[float, bytes, int]]:
    """Times, requests and lengths of outputs."""
    draw = random.Random(f"{name} {rate_per_s}")
    vocabulary = shapes.SHAPES[name].vocabulary
    made, at_s = [], 0.0
    while (at_s := at_s + draw.expovariate(rate_per_s)) < seconds:
        length, output = draw.randint(*PROMPT_TOKENS), draw.randint(*OUTPUT_TOKENS)
        prompt = [draw.randrange(3, vocabulary) for _ in range(length)]
        options = {"max_tokens": output, "ignore_eos": True, "temperature": 0, "stream": True}
        data = json.dumps({"model": name, "prompt": prompt, **options}).encode()
        head = (
            f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(data)}\r\n"
        )
        made.append((at_s, f"{head}content-type: application/json\r\n\r\n".encode() + data, output))
    return made


async def _ask(port: int, at_s: float, request: bytes, tokens: int, seen: Seen) -> None:
    await asyncio.sleep(at_s)
    last_s = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        events = 0
        while line := await reader.readline():
            if not line.startswith(b"data: {") or b'"text":""' in line.replace(b" ", b""):
                continue
            now_s = time.perf_counter()
            (seen.gaps_s if events else seen.first_s).append(now_s - last_s)
            last_s = now_s
            events += 1
        if events:
            seen.tokens += tokens
            seen.seconds = max(seen.seconds, last_s)
        else:
            seen.lost += 1
    finally:
        writer.close()


async def offer(port: int, asked: Sequence[tuple[float, bytes, int]]) -> Seen:
    """Send all at their times and wait for the answers."""
    seen = Seen()
    began_s = time.perf_counter()
    tasks = [asyncio.create_task(_ask(port, at_s, request, tokens, seen)) for at_s, request, tokens in asked]
    _, late = await asyncio.wait(tasks, timeout=asked[-1][0] + DRAIN_S)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    seen.lost += sum(isinstance(result, BaseException) for result in results)
    seen.seconds -= began_s
    return seen


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def commands(name: str, work: Path, llama_server: Path | None, port: int) -> Mapping[str, tuple[list[str], str]]:
    """How each server is started, and where it says that it is ready."""
    models_dir = work / "models"
    write_model(models_dir, name)
    ours = ["serve", "--port", str(port), "--log-level", "error", "--models", name, "--models-dir", str(models_dir)]
    found = {
        "step": ([sys.executable, "-c", OURS, *ours], "/ready"),
        "Generator": ([sys.executable, "-c", WITHOUT_STEP, *ours], "/ready"),
    }
    if llama_server is not None:
        file = gguf_file.write(work / f"{name}-words.gguf", shapes.SHAPES[name], words=True)
        threads = str(usable_cores())
        options = [
            "-m",
            str(file),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "-np",
            str(SLOTS),
            "-c",
            str(1024 * SLOTS),
        ]
        found["llama-server -np 8"] = ([str(llama_server), *options, "-t", threads, "-tb", threads], "/health")
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=shapes.SHAPES, default="135M")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 1.0, 2.0], help="requests a second")
    parser.add_argument("--seconds", type=float, default=20, help="of arrivals a load")
    parser.add_argument("--work", type=Path, default=Path("build/step-shapes"), help="where the model files are kept")
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--llama", type=Path, help="a site-packages folder with gguf")
    parser.add_argument("--write", action="store_true", help=f"put the results into {RESULTS.name}")
    args = parser.parse_args()
    if args.llama is not None:
        sys.path.append(str(args.llama))
    port = _free_port()
    said = [
        f"{args.shape}, {usable_cores()} cores, {args.seconds:g} s of arrivals a load, prompts of "
        f"{PROMPT_TOKENS[0]}-{PROMPT_TOKENS[1]} and outputs of {OUTPUT_TOKENS[0]}-{OUTPUT_TOKENS[1]} tokens.\n",
        "| requests/s | server | tokens/s | first token, ms: mean | p95 | between tokens, ms: p95 | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(said), flush=True)
    for server, (command, ready) in commands(args.shape, args.work, args.llama_server, port).items():
        with started(command, port, ready):
            asyncio.run(offer(port, requests(args.shape, 1.0, 3) or requests(args.shape, 1.0, 30)[:1]))  # warms it up
            for load in args.loads:
                seen = asyncio.run(offer(port, requests(args.shape, load, args.seconds)))
                said.append(f"| {load:g} | {server} | {seen.cells()} |")
                print(said[-1], flush=True)
    if args.write:
        replace_section(RESULTS, "Arrivals through HTTP", "\n".join(said))


if __name__ == "__main__":
    main()
