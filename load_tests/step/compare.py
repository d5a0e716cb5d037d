"""The step engine against CTranslate2's Generator and, where it is installed, llama.cpp.

    python -m load_tests.step.compare --shapes 15M 135M --rounds 5

Same shapes, random weights, int8 (Q8_0 for llama.cpp), the engines turn about within each round, so that whatever
else the machine does falls on all of them. On a machine that others use as well, ``--threads 1 --clock cpu`` compares
the processor time that each needs instead. Read the ratios of medians, not the absolute numbers. llama.cpp takes
part when ``llama-cpp-python`` and ``gguf`` can be imported; neither is a dependency of the project.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from load_tests.step import gguf_file, shapes
from load_tests.step.engines import Generator, LlamaCpp, Step, Timed
from server.batching.cores import usable_cores

PREFILLS = (128, 512, 1024)
BATCHES = (1, 8, 32)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def bandwidth_gb_s() -> float:
    """What a matrix-vector product far larger than the caches reads: the limit of decoding one row."""
    matrix = np.ones((4096, 32768), np.float32)
    vector = np.ones(32768, np.float32)
    times = []
    for _ in range(7):
        began = time.perf_counter()
        matrix @ vector
        times.append(time.perf_counter() - began)
    return float(matrix.nbytes / min(times) / 1e9)


def open_engines(work: Path, name: str, threads: int, clock: Callable[[], float]) -> list[Timed]:
    """All that can take part."""
    shape = shapes.SHAPES[name]
    folder = shapes.write(work / name, shape)
    engines: list[Timed] = [Step(folder, shape, threads, clock), Generator(folder, shape, threads, clock)]
    if find_spec("llama_cpp") and find_spec("gguf"):
        engines.append(LlamaCpp(gguf_file.write(work / f"{name}.gguf", shape), shape, threads, clock))
    return engines


def compare(work: Path, name: str, threads: int, rounds: int, clock: Callable[[], float]) -> None:
    """Print one shape's table."""
    engines = open_engines(work, name, threads, clock)
    points: dict[str, tuple[Callable[[Timed], float], int]] = {
        **{f"prefill {n}": (lambda e, n=n: e.prefill_s(n), n) for n in PREFILLS},
        **{f"decode {b}": (lambda e, b=b: e.decode_step_s(b), b) for b in BATCHES},
    }
    seconds: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds + 1):
        for point, (measure, _) in points.items():
            for engine in engines:
                took = measure(engine)
                if turn:  # the first round warms caches and pages
                    seconds.setdefault((point, engine.name), []).append(took)
    print(f"\n| {name} | " + " | ".join(points) + " |\n|---|" + "---|" * len(points))
    middle = {key: statistics.median(values) for key, values in seconds.items()}
    for engine in engines:
        rates = (f"{count / middle[point, engine.name]:,.0f}" for point, (_, count) in points.items())
        print(f"| {engine.name}, tokens/s | " + " | ".join(rates) + " |")
    for engine in engines[1:]:
        ratios = (f"{middle[point, engine.name] / middle[point, 'step']:.2f}" for point in points)
        print(f"| step ÷ {engine.name} | " + " | ".join(ratios) + " |")
    step = engines[0]
    assert isinstance(step, Step)
    fastest = min(seconds["decode 1", "step"])
    print(f"\nbatch 1 reads {step.core.weight_bytes / fastest / 1e9:.1f} GB of weights a second at best", end="; ")
    greedy, drawn = (
        statistics.median(step.decode_step_s(32, **options) for _ in range(rounds))
        for options in ({}, {"temperature": 0.8, "top_p": 0.95, "top_k": 50, "seed": 1})
    )
    print(f"sampling with top_k and top_p adds {100 * (drawn / greedy - 1):.1f} % to a step of 32 greedy rows")
    for engine in engines:
        engine.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=shapes.SHAPES, default=["15M", "135M"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--work", type=Path, default=Path("build/step-shapes"), help="where the model files are kept")
    args = parser.parse_args()
    print(f"{args.threads} threads, {args.clock} clock; a matrix-vector product reads {bandwidth_gb_s():.1f} GB/s")
    for name in args.shapes:
        compare(args.work, name, args.threads, args.rounds, CLOCKS[args.clock])


if __name__ == "__main__":
    main()
