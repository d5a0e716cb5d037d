"""Server-sent events: a stream that always says how it ended.

A stream begins when its first event is ready, so that a refusal by an engine is an HTTP error. If the first event takes
long, the stream begins with a ping. It ends with ``[DONE]`` (or the ending of its route), after an error event if it
failed, and stops its work when the client leaves.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Response
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server.api.errors import OPENAI
from server.api.record import Record
from server.api.request import left, stop
from server.errors import ClientLeft, DeadlinePassed, ServerError

log = logging.getLogger(__name__)

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
PING_S = 10.0
"""A stream without an event for so long gets a comment, so that proxies keep it open."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How a dialect writes what is no event of its route."""

    error: Callable[[ServerError], bytes]
    """The error that ends a stream."""
    end: bytes = b""
    """The frame after the last event, or after the error."""
    ping: bytes = PING
    """The frame that keeps the stream open; empty for a dialect that has none."""
    media_type: str = "text/event-stream"


EVENTS = Framing(lambda error: b"data: " + json.dumps(OPENAI.write(error)).encode() + b"\n\n", DONE)
"""OpenAI's."""


def encode(event: BaseModel) -> bytes:
    """One event; fields that were not set are left out."""
    return b"data: " + event.model_dump_json(exclude_unset=True, by_alias=True).encode() + b"\n\n"


async def begin(
    events: AsyncIterator[bytes], record: Record, limit_s: float, ping_s: float = PING_S, framing: Framing = EVENTS
) -> "EventStream":
    """Wait for the first event and make the answer.

    Raises:
        ServerError: the work failed before its first event.
    """
    first = asyncio.ensure_future(anext(events, DONE))
    try:
        await asyncio.wait({first}, timeout=ping_s)
        if first.done():
            first.result()
    except BaseException:
        await stop(first)
        await _close(events)
        raise
    return EventStream(first, events, record, record.received_s + limit_s, ping_s, framing)


class EventStream(Response):
    """The answer: an ASGI application of its own, which watches the connection while it sends."""

    def __init__(
        self,
        first: "asyncio.Future[bytes]",
        events: AsyncIterator[bytes],
        record: Record,
        deadline_s: float,
        ping_s: float,
        framing: Framing,
    ) -> None:
        self.media_type = framing.media_type
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no"})
        # Without a body there is no length: init_headers would state one of 0.
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        self._first = first
        self._events = events
        self._record = record
        self._deadline_s = deadline_s
        self._ping_s = ping_s
        self._framing = framing
        self._sent_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until they end, the client leaves or the deadline passes."""
        running: list[asyncio.Future[None]] = []
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            pump, gone, pings = running = [
                asyncio.ensure_future(each) for each in (self._pump(send), left(receive), self._ping(send))
            ]
            limit_s = max(0.0, self._deadline_s - time.perf_counter())
            await asyncio.wait({pump, gone}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
                return
            await stop(pump, pings)
            if gone.done():
                self._record.error = ClientLeft()
            else:
                await self._end(send, DeadlinePassed(limit_s))
        finally:
            await stop(*running, self._first)
            await _close(self._events)

    async def _pump(self, send: Send) -> None:
        error: ServerError | None = None
        try:
            if (first := await self._first) is not DONE:
                await self._send(send, first)
                async for event in self._events:
                    await self._send(send, event)
        except ServerError as problem:
            error = problem
        except Exception:
            log.exception("a stream failed")
            error = ServerError()
        await self._end(send, error)

    async def _end(self, send: Send, error: ServerError | None) -> None:
        last = self._framing.end
        if error is not None:
            self._record.error = error
            last = self._framing.error(error) + last
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _ping(self, send: Send) -> None:
        while self._framing.ping:
            await asyncio.sleep(self._ping_s)
            if time.perf_counter() - self._sent_s >= self._ping_s:
                await self._send(send, self._framing.ping)

    async def _send(self, send: Send, event: bytes) -> None:
        self._sent_s = time.perf_counter()
        await send({"type": "http.response.body", "body": event, "more_body": True})


async def _close(events: AsyncIterator[bytes]) -> None:
    """Run the clean-up of an async generator now, not when it is collected."""
    if (close := getattr(events, "aclose", None)) is not None:
        with suppress(RuntimeError):  # the generator is running: its task was stopped and closes it
            await close()
