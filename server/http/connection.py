"""One connection: HTTP/1.1 read strictly, and the limits that uvicorn leaves to a proxy in front.

`StrictConnection` refuses a head that two parsers could read in two ways. h11 follows the standard where it lets a
recipient be lenient: lines may end with a bare LF, headers may be folded, a Content-Length beside Transfer-Encoding is
dropped. A proxy in front that reads the same bytes in the other way sees another request in them. No client of today
writes any of this.

`Connection` ends heads that come slowly, clients that do not read, and bodies that go on after their answer, and it
makes room where there are more connections than the server takes. Slow bodies are the routes' business
(``server/api/request.py``).
"""

import asyncio
import logging
import re
import sys
import uuid
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.api import errors
from server.errors import BadRequest, HeadTooLarge, ServerError, TooSlow, Unavailable
from server.metrics import Metrics

MAX_HEAD_BYTES = 32 * 1024
"""The most bytes of the request line and the headers together."""
MAX_HEADERS = 100

END = re.compile(rb"\n\r?\n")
AMBIGUOUS = re.compile(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]")
"""A line that does not end with CRLF, or goes on in the next."""
FRAMING = re.compile(rb"\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)


class StrictConnection(h11.Connection):
    """h11's server side, with limits on a request's head and no leniency. Raises h11's own error."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.head = bytearray()
        """The bytes received of a head that is not whole yet."""

    def receive_data(self, data: bytes) -> None:
        """Take in bytes."""
        super().receive_data(data)
        if self.their_state is h11.IDLE:
            self.head += data

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event. A request is returned only if there is one way to read it.

        Raises:
            h11.RemoteProtocolError: it is malformed, ambiguous or over a limit (then with 431 as its hint).
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            _require_plain(event, bytes(self.head))
            self.head.clear()
        return event

    def start_next_cycle(self) -> None:
        """Begin the next request. A part of it may be in the buffer already."""
        super().start_next_cycle()
        self.head[:] = self.trailing_data[0]


def _require_plain(request: h11.Request, received: bytes) -> None:
    end = END.search(received)
    head = received[: end.end()] if end else received
    if len(head) > MAX_HEAD_BYTES or len(request.headers) > MAX_HEADERS:
        raise h11.RemoteProtocolError("the head is too large", error_status_hint=431)
    if AMBIGUOUS.search(head):
        raise h11.RemoteProtocolError("a line of the head ends ambiguously")
    if request.http_version not in (b"1.0", b"1.1"):
        raise h11.RemoteProtocolError("another version of HTTP")
    framing = FRAMING.findall(head)
    if len(framing) > 1:
        raise h11.RemoteProtocolError("the length of the body is stated more than once")
    if framing and framing[0].lower() == b"transfer-encoding" and request.http_version == b"1.0":
        raise h11.RemoteProtocolError("HTTP/1.0 has no chunks")


log = logging.getLogger(__name__)

CLOSE = (b"connection", b"close")
LINGER_S = 5.0
"""A client may go on sending a body for so long after the answer was sent. Cut at once, it would not see the answer."""
SPARE = 64
"""The number of connections over the limit that get an answer with the reason; more are closed without one."""
RESERVED_FILES = 256
"""Open files that are kept free of connections: for model folders, pipes to engines and logs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that one server sets its connections."""

    connections: int
    head_s: float
    """A whole head must arrive within so long, counted from its first byte or from the beginning of the connection."""
    send_s: float
    """A connection is closed when its client has read nothing for so long, though there was something to read."""


class ConnectionLimits:
    """The state that the connections of one server share: their limits, and the idle ones, oldest first."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self.idle: dict[Connection, None] = {}

    def make_room(self) -> bool:
        """Close the connection that has been idle for longest. Returns whether there was one."""
        for connection in self.idle:
            connection.cut()
            return True
        return False


class Connection(H11Protocol):
    """One connection: uvicorn's, with limits. Made by uvicorn; ``door`` is put in by ``functools.partial``."""

    conn: StrictConnection

    def __init__(self, door: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn = StrictConnection()
        self._door = door
        self._head_timer: asyncio.TimerHandle | None = None
        self._cut_timer: asyncio.TimerHandle | None = None

    # --- what comes in --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Accept the connection. If there are too many, close an idle one for it; without one, answer 503."""
        super().connection_made(transport)
        over = len(self.connections) - self._door.limits.connections
        if over > 0 and not self._door.make_room():
            if over > SPARE:
                self.cut()
                return
            self._door.metrics.count("requests_rejected_total", 1, Unavailable.code)
            full = errors.response_of(Unavailable("The server has as many connections as it takes.", 1.0))
            full.raw_headers.append(CLOSE)
            self.app = full  # a response is an application
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the connection out of the counts."""
        self._door.idle.pop(self, None)
        for timer in (self._head_timer, self._cut_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the client."""
        super().data_received(data)
        self._watch()
        self._cut_if_due()

    def _should_upgrade(self) -> bool:
        return False  # there is nothing to upgrade to, and a warning for each such request would fill the log

    def send_400_response(self, msg: str) -> None:
        """Refuse what h11 cannot read. uvicorn calls it while it handles h11's error."""
        hint = getattr(sys.exception(), "error_status_hint", 400)
        if hint == 431:
            self._refuse(HeadTooLarge(MAX_HEAD_BYTES, MAX_HEADERS))
        else:
            self._refuse(BadRequest("This is not HTTP/1.1, or it can be read in more than one way."))

    # --- what goes out --------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """An answer has been sent whole."""
        super().on_response_complete()
        self._watch()
        self._cut_if_due()

    def pause_writing(self) -> None:
        """Called when the client reads more slowly than the server writes."""
        super().pause_writing()
        self._cut_if_due()

    def resume_writing(self) -> None:
        """Called when the client has read."""
        super().resume_writing()
        self._cut_if_due()

    def timeout_keep_alive_handler(self) -> None:
        """Called when the connection has been idle for too long: a client that has not read by now will not read."""
        if self.transport.get_write_buffer_size():
            self.cut()
        else:
            super().timeout_keep_alive_handler()

    def cut(self) -> None:
        """Close the connection now, with bytes unsent or not."""
        self._door.idle.pop(self, None)
        self.transport.abort()

    # --- timers ---------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Set the timers for the present state of the connection."""
        waits = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        begun = self.cycle is None or bool(self.conn.head)
        if waits:
            self._door.idle.setdefault(self)
            if begun and self._head_timer is None:
                self._head_timer = self.loop.call_later(self._door.limits.head_s, self._head_is_late)
            elif not begun and self.timeout_keep_alive_task is None:
                late = self.timeout_keep_alive_handler
                self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, late)
        else:
            self._door.idle.pop(self, None)
        if self._head_timer is not None and not (waits and begun):
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self.conn.head:
            self._refuse(TooSlow("The head of the request", self._door.limits.head_s))
        else:
            self.cut()  # the client has sent nothing

    def _cut_if_due(self) -> None:
        """Start the timer while the client has to read or to stop sending; cancel it when the client has."""
        answered = self.cycle is not None and self.cycle.response_complete
        seconds: float | None = None
        if self.transport.is_closing() or self.flow.write_paused:
            seconds = self._door.limits.send_s  # closing, too, waits until all bytes are sent
        elif answered and self.conn.their_state is h11.SEND_BODY:
            seconds = LINGER_S
        if seconds is None and self._cut_timer is not None:
            self._cut_timer.cancel()
            self._cut_timer = None
        elif seconds is not None and self._cut_timer is None:
            self._cut_timer = self.loop.call_later(seconds, self.cut)

    def _refuse(self, error: ServerError) -> None:
        """Answer without the application, and close."""
        self._door.metrics.count("requests_rejected_total", 1, error.code)
        log.info("refused a request before it was read", extra={"facts": {"status": error.status, "code": error.code}})
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.cut()  # in the middle of an answer no error can be sent
            return
        response = errors.response_of(error)
        response.raw_headers += [(b"x-request-id", f"req_{uuid.uuid4().hex}".encode()), CLOSE]
        for event in (
            h11.Response(status_code=error.status, headers=response.raw_headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._cut_if_due()


def room_for(wanted: int) -> int:
    """The connections that the limit on open files leaves room for, ``wanted`` at most. Raises the soft limit.

    On a system without such a limit (`server.machine.lacks` says so) it is ``wanted``.
    """
    try:
        import resource
    except ModuleNotFoundError:  # a module of POSIX systems
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    files = wanted + RESERVED_FILES
    if hard != resource.RLIM_INFINITY:
        files = min(files, hard)
    if files > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    room = max(files, soft) - RESERVED_FILES
    if room < wanted:
        log.warning("max_connections is %d, but the limit on open files leaves room for %d", wanted, room)
    return max(1, min(wanted, room))
