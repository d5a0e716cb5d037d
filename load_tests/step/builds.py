"""Builds of the step engine's core against each other, turn about: what a change to it is worth.

    cmake -S server/engines/step/core -B build/now && cmake --build build/now      # and another of the commit before
    python -m load_tests.step.builds build/before build/now --shapes 15M 135M --points "decode 1" "prefill 512"

Each build is loaded by a process of its own; the processes are asked in turn, so whatever else the machine does falls
on all of them; where that is much, ``--threads 1 --clock cpu`` compares processor times. Prints the median time of each
point, and how many times as fast as the first build each one is.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
from pathlib import Path

from load_tests.step import shapes
from load_tests.step.compare import CLOCKS, POINTS
from load_tests.step.engines import Step
from server.batching.cores import usable_cores


def use_build(folder: Path) -> None:
    """Load the core that was built in this folder under its usual name, before anybody imports the installed one."""
    name = "server.engines.step._core"
    (library,) = folder.glob("_core*.so")
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def answer(build: Path, model: Path, shape: str, threads: int, clock: str) -> None:
    """A child: a point's name a line comes in, its seconds go out."""
    use_build(build)
    engine = Step(model, shapes.SHAPES[shape], threads, CLOCKS[clock])
    for line in sys.stdin:
        print(POINTS[line.strip()][0](engine), flush=True)


class Build:
    """A child that has one build and one model loaded."""

    def __init__(self, folder: Path, model: Path, shape: str, threads: int, clock: str) -> None:
        words = [
            sys.executable,
            "-m",
            "load_tests.step.builds",
            str(folder),
            "--answer",
            str(model),
            shape,
            str(threads),
            clock,
        ]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, point: str) -> float:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{point}\n")
        self._child.stdin.flush()
        return float(self._child.stdout.readline())

    def close(self) -> None:
        self._child.communicate()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+", type=Path, help="folders that CMake built in")
    parser.add_argument("--shapes", nargs="+", choices=shapes.SHAPES, default=["15M", "135M"])
    parser.add_argument("--points", nargs="+", choices=POINTS, default=list(POINTS))
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--work", type=Path, default=Path("build/step-shapes"), help="where the model files are kept")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--answer", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.answer is not None:
        model, shape, threads, clock = args.answer
        return answer(args.builds[0], Path(model), shape, int(threads), clock)
    for shape in args.shapes:
        model = shapes.write(args.work / shape, shapes.SHAPES[shape])
        builds = [Build(folder, model, shape, args.threads, args.clock) for folder in args.builds]
        for point in args.points:
            rounds = [[build.seconds(point) for build in builds] for _ in range(args.rounds + 1)][1:]
            medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
            times = ", ".join(f"{1e3 * median:.3f}" for median in medians)
            ratios = ", ".join(f"{medians[0] / median:.2f}" for median in medians)
            print(f"{shape} {point}: {times} ms; {ratios}", flush=True)
        for build in builds:
            build.close()
    return None


if __name__ == "__main__":
    main()
