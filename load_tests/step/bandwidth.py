"""How fast this machine reads memory: the limit of decoding one row, which reads every weight once.

python -m load_tests.step.bandwidth --threads 2
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from server.batching.cores import usable_cores

BYTES = 256 << 20
"""A thread's share: many times any cache."""
REPEATS = 9


def read_gb_s(threads: int, clock: Callable[[], float] = perf_counter) -> float:
    """The most of several sums over memory far larger than the caches, a part a thread.

    Args:
        threads: how many read at once.
        clock: seconds; with processor time, one thread's speed beside whatever else runs.
    """
    parts = [np.ones(BYTES // 8, np.int64) for _ in range(threads)]
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(REPEATS):
            began = clock()
            list(pool.map(np.sum, parts))  # a reduction lets go of the interpreter's lock
            seconds.append(clock() - began)
    return threads * BYTES / min(seconds) / 1e9


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=usable_cores())
    args = parser.parse_args()
    print(f"{args.threads} threads read {read_gb_s(args.threads):.1f} GB/s")


if __name__ == "__main__":
    main()
