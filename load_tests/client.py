"""A lean HTTP/1.1 client: keep-alive connections to one address, requests as ready bytes.

Client and server share the cores of a small machine, so what the client spends is missing from the result:
this one spends a few microseconds on an answer. It understands what the server sends (Content-Length and
chunked bodies) and nothing else: no redirects, no cookies, no TLS, no body without a length.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response. A streamed body is joined from its chunks."""

    status: int
    head: bytes
    body: bytes
    first_s: float
    """From the request to the first byte of the answer."""
    total_s: float

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Disconnected(Exception):
    """The server closed the connection before the answer was whole."""


def post(path: str, body: Any) -> bytes:
    """The bytes of a JSON request."""
    data = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    ).encode() + data


def get(path: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self._began_s = self._first_s = 0.0

    @classmethod
    async def to(cls, port: int, host: str = "127.0.0.1") -> "Connection":
        """Connect."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    async def send(self, request: bytes) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            Disconnected: the connection ended first.
        """
        if self._transport is None or self._transport.is_closing():
            raise Disconnected
        self._answer = asyncio.get_running_loop().create_future()
        self._first_s = 0.0
        self._began_s = time.perf_counter()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self._first_s:
            self._first_s = time.perf_counter()
        self._buffer += data
        if (whole := _whole(self._buffer)) is None or self._answer is None or self._answer.done():
            return
        head, body = whole
        self._buffer.clear()
        now_s = time.perf_counter()
        answer = Answer(int(head[9:12]), head, body, self._first_s - self._began_s, now_s - self._began_s)
        self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Disconnected())


def _whole(data: bytearray) -> tuple[bytes, bytes] | None:
    """Head and body once all of both are there."""
    end = data.find(_END)
    if end < 0:
        return None
    head = bytes(data[:end])
    begin = end + len(_END)
    lower = head.lower()
    if (at := lower.find(b"content-length:")) >= 0:
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
        return (head, bytes(data[begin : begin + length])) if len(data) >= begin + length else None
    if not data.endswith(b"0\r\n\r\n"):
        return None
    return head, _unchunked(bytes(data[begin:]))


def _unchunked(data: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        line = data.index(b"\r\n", at)
        size = int(data[at:line], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(data[line + 2 : line + 2 + size])
        at = line + 4 + size


@dataclass(slots=True)
class Tally:
    """The answers that came within the measured time."""

    seconds: float = 0.0
    answers: int = 0
    units: float = 0.0
    """Texts or tokens, as the caller counts them."""
    latencies_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def units_per_s(self) -> float:
        """Throughput."""
        return self.units / self.seconds

    def add(self, answer: Answer, units: float) -> None:
        """Count one answer; only a 200 is worth units."""
        self.answers += 1
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status == 200:
            self.units += units
            self.latencies_s.append(answer.total_s)
            self.first_s.append(answer.first_s)


async def closed_loop(
    port: int,
    requests: Iterable[tuple[bytes, float]],
    *,
    clients: int,
    seconds: float,
    warm_s: float = 0.0,
    most_answers: int | None = None,
    mark: Callable[[], None] = lambda: None,
) -> Tally:
    """Each client sends its next request when it has its answer, until the time or the requests are over.

    Args:
        requests: bytes and what a good answer to them is worth.
        warm_s: so long nothing is counted.
        most_answers: so many answers at most.
        mark: called when the counting begins and when it ends.
    """
    source = iter(requests)
    tally = Tally()
    began_s = time.perf_counter() + warm_s
    end_s = began_s + seconds
    left = most_answers
    loop = asyncio.get_running_loop()
    marks = [loop.call_later(at_s, mark) for at_s in (warm_s, warm_s + seconds)]

    async def client() -> None:
        nonlocal left
        connection = await Connection.to(port)
        try:
            for request, units in source:
                if left is not None:
                    if left == 0:
                        return
                    left -= 1
                answer = await connection.send(request)
                now_s = time.perf_counter()
                if now_s >= end_s:
                    return
                if now_s >= began_s:
                    tally.add(answer, units)
        finally:
            connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    if (now_s := time.perf_counter()) < end_s:
        marks[1].cancel()
        mark()
    tally.seconds = min(now_s, end_s) - began_s
    return tally


async def open_loop(
    port: int, requests: Iterable[tuple[float, bytes, float]], note: Callable[[Answer], None] | None = None
) -> Tally:
    """Send each request at its time, whether or not earlier ones are answered.

    Args:
        requests: seconds from the start, ascending; bytes; what a good answer is worth.
        note: is told of each answer.
    """
    tally, idle = Tally(), list[Connection]()
    began_s = time.perf_counter()

    async def one(request: bytes, units: float) -> None:
        connection = idle.pop() if idle else await Connection.to(port)
        answer = await connection.send(request)
        idle.append(connection)
        tally.add(answer, units)
        if note is not None:
            note(answer)

    async with asyncio.TaskGroup() as group:
        for at_s, request, units in requests:
            await asyncio.sleep(max(0.0, began_s + at_s - time.perf_counter()))
            group.create_task(one(request, units))
    tally.seconds = time.perf_counter() - began_s
    for connection in idle:
        connection.close()
    return tally
