"""Measures the cost of choosing tokens beside computing them: 32 rows, 150,000 ids, each option and all at once.

    python -m load_tests.step.sampling --rounds 7

Processor time by default, one thread, so that it can be measured on a machine with other work. Each option's steps
take turns with 32 greedy rows', and its cost is the difference of the fastest of each. A random model's logits lie
much closer together than a trained one's; ``PEAKED`` is the temperature that spreads them as far as text does (a few
thousand tokens share 95 %), and ``flat`` is the worst case, that of a distribution with no shape at all.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from load_tests.step import shapes
from load_tests.step.compare import CLOCKS
from load_tests.step.engines import Step

ROWS = 32
PROMPT_TOKENS = 8
PEAKED = 0.16
ALL = {
    "temperature": PEAKED,
    "top_k": 50,
    "top_p": 0.95,
    "min_p": 0.01,
    "repetition_penalty": 1.1,
    "presence_penalty": 0.3,
    "frequency_penalty": 0.3,
    "bias": [(i, -1.0) for i in range(300)],
    "logprobs": 5,
    "seed": 1,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": PEAKED},
    "top_k 50": {"temperature": PEAKED, "top_k": 50},
    "top_p 0.95": {"temperature": PEAKED, "top_p": 0.95},
    "min_p 0.05": {"temperature": PEAKED, "min_p": 0.05},
    "penalties": {"repetition_penalty": 1.1, "presence_penalty": 0.3, "frequency_penalty": 0.3},
    "logprobs 5": {"logprobs": 5},
    "grammar mask": {"masked": True},
    "all of these": {**ALL, "masked": True},
    "top_p 0.95, flat": {"temperature": 1.0, "top_p": 0.95},
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=shapes.SHAPES, default="0.5B")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--work", type=Path, default=Path("build/step-shapes"), help="where the model files are kept")
    args = parser.parse_args()
    shape = shapes.SHAPES[args.shape]
    clock = CLOCKS[args.clock]
    step = Step(shapes.write(args.work / args.shape, shape), shape, args.threads, clock)
    words = -(-shape.vocabulary // 32)
    mask: npt.NDArray[np.uint32] = np.random.default_rng(0).integers(0, 1 << 32, words, np.uint32)

    def seconds(rows: list[int], masks: dict[int, bytes]) -> float:
        assert all(step.core.reserve(row, 1) for row in rows)
        began = clock()
        step.core.step(rows, [1] * ROWS, masks)
        return clock() - began

    added: dict[str, float] = {}
    greedy: list[float] = []
    plain = step.open_rows(ROWS, PROMPT_TOKENS)
    for name, options in OPTIONS.items():
        rows = step.open_rows(ROWS, PROMPT_TOKENS, **{key: value for key, value in options.items() if key != "masked"})
        masks = dict.fromkeys(range(ROWS), mask.tobytes()) if "masked" in options else {}
        turns = [(seconds(plain, {}), seconds(rows, masks)) for _ in range(args.rounds)]
        without, chosen = (min(times) for times in zip(*turns, strict=True))
        greedy.append(without)
        added[name] = chosen - without
        step.close_rows(rows)
    whole = statistics.median(greedy)
    print(f"{args.shape}, {ROWS} rows, {shape.vocabulary:,} tokens: a greedy step takes {1000 * whole:.0f} ms")
    print("| option | ms a row | share of a step |\n|---|---|---|")
    for name, more in added.items():
        print(f"| {name} | {1000 * more / ROWS:.2f} | {more / (whole + more):.1%} |")


if __name__ == "__main__":
    main()
