"""The outermost layer of the application: gives each request an id and a record, and tells of it at the end.

Headers, the access line and the metrics are all made from the one record. Pure ASGI: the handler inside
still sees the client leave. Knows no endpoint.
"""

import logging
import re
import time
import uuid
from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import logs
from server.api import problems
from server.api.accounting import account
from server.api.record import KEY, Record
from server.errors import ClientLeft, ServerError
from server.metrics import Metrics

log = logging.getLogger("server.access")
problem_log = logging.getLogger(__name__)

SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
UNNAMEABLE = re.compile(r"[^A-Za-z0-9._-]")
MOST_NAMES, MOST_CHARACTERS = 32, 64
"""Of ``x-ignored-fields``."""
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
OPENAI_VERSION = b"2020-10-01"
"""The version of OpenAI's API whose shapes these are: its only one."""


class Spans(Protocol):
    """Who is told of each request for a trace."""

    def tell(self, record: Record, headers: Iterable[tuple[bytes, bytes]], spent_s: float) -> str | None:
        """A request is over; the id of its trace, if it has one."""


class Observe:
    """See the module."""

    def __init__(self, app: ASGIApp, metrics: Metrics, spans: Spans | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and account for it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "other"
        record = scope[KEY] = Record(_id(scope), method, time.perf_counter())
        token = logs.request_id.set(record.id)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_headers(record)]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            problem_log.exception("a request failed")
            record.error = ServerError()
            if record.status:
                raise  # the answer has begun: the server underneath must break the connection off
            await problems.response_of(record.error, scope["path"])(scope, receive, answer)
        finally:
            self._close(scope, record)
            logs.request_id.reset(token)

    def _close(self, scope: Scope, record: Record) -> None:
        spent_s = time.perf_counter() - record.received_s
        if (route := scope.get("route")) is not None:
            record.endpoint = getattr(route, "path_format", record.endpoint)
        if isinstance(record.error, ClientLeft):
            record.status = record.error.status
        account(self._metrics, record, spent_s)
        facts = {
            "method": record.method,
            "endpoint": record.endpoint,
            "status": record.status,
            "duration_ms": round(spent_s * 1000, 2),
            "model": record.model,
            "code": record.error.code if record.error is not None else None,
            "key": (record.holder.key.name or None) if record.holder is not None else None,
        }
        if record.usage is not None:
            facts["prompt_tokens"] = record.usage.prompt_tokens
            facts["completion_tokens"] = record.usage.completion_tokens
        if record.timing is not None:
            facts["batch_rows"] = record.timing.batch_rows
        if self._spans is not None:
            facts["trace_id"] = self._spans.tell(record, scope["headers"], spent_s)
        if (detail := getattr(record.error, "detail", "")) != "":
            facts["detail"] = detail
        level = logging.WARNING if record.status >= 500 else logging.INFO
        log.log(level, "request", extra={"facts": facts})


def _id(scope: Scope) -> str:
    """The caller's id of the request if it sent a sane one, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SANE_ID.fullmatch(text := value.decode("latin-1")):
            return str(text)
    return f"req_{uuid.uuid4().hex}"


def _names(fields: Iterable[str]) -> bytes:
    """Names of a client's own making as a header: without what a header cannot hold, and not without end."""
    names = sorted({UNNAMEABLE.sub("?", field[:MOST_CHARACTERS]) for field in fields})
    return ", ".join(names[:MOST_NAMES]).encode("ascii")


def _headers(record: Record) -> list[tuple[bytes, bytes]]:
    total_s = time.perf_counter() - record.received_s
    headers = [
        (b"x-request-id", record.id.encode("latin-1")),
        (b"openai-version", OPENAI_VERSION),
        (b"openai-processing-ms", str(round(total_s * 1000)).encode()),
    ]
    if record.ignored:
        headers.append((b"x-ignored-fields", _names(record.ignored)))
    if record.model is None:
        return headers
    times_s = {
        b"x-queue-time": record.queue_s,
        b"x-inference-time": record.inference_s,
        b"x-tokenization-time": record.tokenization_s,
        b"x-total-time": total_s,
    }
    headers += [(name, b"%.3f" % (time_s * 1000)) for name, time_s in times_s.items() if time_s is not None]
    if record.timing is not None:
        headers.append((b"x-batch-size", str(record.timing.batch_rows).encode()))
    return headers
