"""Work of one request that may be long, kept off the event loop: nobody's tokens wait for it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")

SMALL_CHARACTERS = 10_000
"""More text than that is cut and tokenised in a thread: it would hold up the event loop for milliseconds."""

SMALL_PRODUCTS = 5_000_000
"""Of two numbers each, so many are summed up in a millisecond on one core."""


async def aside(work: Callable[[], ResultT], size: int, small: int = SMALL_CHARACTERS) -> ResultT:
    """What ``work`` returns. Where its ``size`` is over ``small`` it runs in a thread, else at once: a hand-over to
    a thread would cost more.
    """
    return work() if size <= small else await asyncio.to_thread(work)
