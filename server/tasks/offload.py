"""Runs work whose cost grows with a request's text off the event loop, so that the tokens of other requests do not
wait.

All work on a text, or on a list of any length, goes through ``offload`` with its size. The few threads do nothing else:
a text that takes long delays other long texts, but never the reading of files, the end of engines or a scrape of
metrics. Python switches threads between two steps of such work; a library that holds the interpreter's lock gets one
piece at a time.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

ResultT = TypeVar("ResultT")

THREADS = 2
"""More threads would gain nothing: they take turns at the interpreter, and the event loop waits for each of them."""

SMALL_CHARACTERS = 10_000
"""Longer text is read in a thread: it would hold the event loop for milliseconds."""

SMALL_BYTES = 100_000
"""So much JSON is parsed in a millisecond."""

SMALL_PRODUCTS = 5_000_000
"""So many products of two numbers are added up in a millisecond on one core."""

ITEM_CHARACTERS = 20
"""Characters that each item of a list counts for, in addition to its own."""


async def offload(work: Callable[[], ResultT], size: int, small: int = SMALL_CHARACTERS) -> ResultT:
    """Return the result of ``work``. It runs in a thread if its ``size`` is over ``small``, else at once, since a
    hand-over to a thread would cost more.

    Work in a thread goes on when its request is cancelled, so it must not change shared state.
    """
    if size <= small:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads(), copy_context().run, work)


def size_of(texts: Iterable[str]) -> int:
    """The size of a list of texts, for ``offload``."""
    return sum(len(text) + ITEM_CHARACTERS for text in texts)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="offload")
