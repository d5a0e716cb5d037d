"""When the disk is looked at for models: one look at a time, and for unknown names one a second at most."""

import asyncio
import time
from collections.abc import Awaitable, Callable

REST_S = 1.0
"""Between the beginnings of two looks for unknown names: anybody can make up names."""


class Looks:
    """Looks that are shared by all who ask before they begin.

    Args:
        look: one look, off the event loop; it is never under way twice.
        clock: monotonic seconds.
        sleep: waits so many of them.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._look = look
        self._clock = clock
        self._sleep = sleep
        self._one = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None
        """The look that has not begun yet."""
        self._unknown: asyncio.Task[None] | None = None
        """The same, for unknown names."""
        self._unknown_s = float("-inf")
        """When the last one for unknown names was asked for."""

    async def fresh(self) -> None:
        """Wait for a look that begins after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._run())
        await asyncio.shield(self._next)

    async def unknown(self) -> None:
        """The same for a name that is not known: where there has just been a look for one, a little later."""
        if self._unknown is None:
            self._unknown = asyncio.create_task(self._run_later())
        await asyncio.shield(self._unknown)

    async def _run(self) -> None:
        async with self._one:
            self._next = None
            await self._look()

    async def _run_later(self) -> None:
        if (rest_s := self._unknown_s + REST_S - self._clock()) > 0:
            await self._sleep(rest_s)
        self._unknown, self._unknown_s = None, self._clock()
        await self.fresh()
