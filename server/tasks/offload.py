"""Runs work whose cost grows with a request's text off the event loop, so that other requests' tokens do not wait.

All work on a text, or on a list of any length, goes through ``offload`` with its size. The few threads do nothing else,
so a long text delays other long texts, but never the reading of files, the end of engines or a scrape of metrics.
Python switches threads during such work. A library that holds the interpreter's lock must get the text in small pieces.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

ResultT = TypeVar("ResultT")

THREADS = 2
"""The number of threads. More would gain nothing, as they share one interpreter with the event loop."""

SMALL_CHARACTERS = 10_000
"""The longest text that is read on the event loop. A longer text would block the loop for milliseconds."""

SMALL_BYTES = 100_000
"""The size of JSON that is parsed in a millisecond."""

SMALL_PRODUCTS = 5_000_000
"""The number of multiplications with addition that one core does in a millisecond."""

ITEM_CHARACTERS = 20
"""The characters that each item of a list counts for, in addition to its own characters."""


async def offload(work: Callable[[], ResultT], size: int, small: int = SMALL_CHARACTERS) -> ResultT:
    """Run ``work`` and return its result.

    The work runs in a thread if its ``size`` is over ``small``. Otherwise it runs at once, because a thread would cost
    more. Work in a thread goes on when its request is cancelled, so it must not change shared state.

    Args:
        work: the work to run; its exceptions are raised here.
        size: the size of the work's input, in characters or in the unit of ``small``.
        small: the largest size of work that runs at once.
    """
    if size <= small:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads(), copy_context().run, work)


def size_of(texts: Iterable[str]) -> int:
    """The size of a list of texts in characters, for ``offload``."""
    return sum(len(text) + ITEM_CHARACTERS for text in texts)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="offload")
