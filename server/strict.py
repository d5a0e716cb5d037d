"""HTTP/1.1 as strictly as a server may read it: a head that two parsers could read in two ways is refused.

h11 follows the standard where it lets a recipient be lenient: lines may end with a bare LF, headers may be folded, a
Content-Length beside Transfer-Encoding is dropped. A proxy in front that reads the same bytes otherwise sees another
request in them. None of this is written by any client of today.
"""

import re

import h11

MAX_HEAD_BYTES = 32 * 1024
"""Request line and headers together."""
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
        """What has come of a head that is not whole yet."""

    def receive_data(self, data: bytes) -> None:
        """Take in bytes."""
        super().receive_data(data)
        if self.their_state is h11.IDLE:
            self.head += data

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Read on; a request is given out only if there is one way to read it.

        Raises:
            h11.RemoteProtocolError: it is malformed, ambiguous or over a limit (then with 431 as its hint).
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            _require_plain(event, bytes(self.head))
            self.head.clear()
        return event

    def start_next_cycle(self) -> None:
        """Begin with the next request, of which a part may be there already."""
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
