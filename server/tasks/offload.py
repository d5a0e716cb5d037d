"""Work whose cost grows with a request's text, kept off the event loop: nobody's tokens wait for it.

Whatever reads a text, or a list of any length, goes through ``offload``, and says how large it is. The threads are few
and nobody else's: text that takes long holds up other long texts, and never what reads files, ends engines or scrapes
metrics. Python gives way between two steps of such work; a library that does not is given a piece at a time.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

ResultT = TypeVar("ResultT")

THREADS = 2
"""More would gain nothing: they take turns at the interpreter, and each is one more that the event loop waits for."""

SMALL_CHARACTERS = 10_000
"""More text than that is read in a thread: it would hold up the event loop for milliseconds."""

SMALL_BYTES = 100_000
"""So much JSON is parsed in a millisecond."""

SMALL_PRODUCTS = 5_000_000
"""Of two numbers each, so many are summed up in a millisecond on one core."""

ITEM_CHARACTERS = 20
"""What each item of a list counts for, whatever is in it."""


async def offload(work: Callable[[], ResultT], size: int, small: int = SMALL_CHARACTERS) -> ResultT:
    """What ``work`` returns. Where its ``size`` is over ``small`` it runs in a thread, else at once: a hand-over to
    a thread would cost more.

    Work in a thread goes on when its request is cancelled: it must not change what others see.
    """
    if size <= small:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads(), copy_context().run, work)


def size_of(texts: Iterable[str]) -> int:
    """How large a list of texts is, for ``offload``."""
    return sum(len(text) + ITEM_CHARACTERS for text in texts)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="offload")
