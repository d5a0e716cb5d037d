"""The outermost layer of the application: gives each request an id and a record, and accounts for it at the end.

Headers, the access line and the metrics are all made from the one record. `account` is the one place that says which
request counts as what. Pure ASGI, so the handler inside still sees the client leave. This module knows no endpoint.
"""

import logging
import re
import time
import uuid
from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import logs
from server.api import errors
from server.api.record import KEY, Record
from server.errors import ClientLeft, ServerError
from server.metrics import Metrics

REFUSALS = frozenset({401, 403, 408, 413, 415, 429, 503})
"""Statuses of refusals that do not depend on the work that a request asks for."""


def account(metrics: Metrics, record: Record, spent_s: float, trace_id: str | None = None) -> None:
    """Count one ended request.

    Args:
        metrics: the counters.
        record: of the request.
        spent_s: the time from its first byte received to its last byte sent.
        trace_id: of the request's trace, if it is sampled: the exemplar of its latencies.
    """
    http = (record.endpoint, record.method, str(record.status))
    metrics.count("http_requests_total", 1, *http)
    metrics.observe("http_request_duration_seconds", spent_s, *http, trace_id=trace_id)
    error = record.error
    if isinstance(error, ClientLeft):
        metrics.count("client_disconnected_total", 1, record.endpoint)
    elif error is not None and error.status in REFUSALS:
        metrics.count("requests_rejected_total", 1, error.code)
    if record.ignored:
        metrics.count("ignored_fields_total", len(record.ignored), record.endpoint)
    if record.model is None:
        return
    if error is not None:
        metrics.count("request_failure_total", 1, record.model, error.code)
    count_tokens(metrics, record)
    _times(metrics, record, record.model, spent_s, trace_id)


def count_tokens(metrics: Metrics, record: Record) -> None:
    """Count the tokens and the choices of an answer, if it has any."""
    if record.usage is None or record.model is None:
        return
    for reason in record.finish_reasons:
        metrics.count("request_success_total", 1, record.model, reason)
    metrics.count("prompt_tokens_total", record.usage.prompt_tokens, record.model)
    metrics.count("generation_tokens_total", record.usage.completion_tokens, record.model)
    if record.generates:
        metrics.count("prefix_cache_queries_total", record.usage.prompt_tokens, record.model)
        metrics.count("prefix_cache_hits_total", record.usage.cached_tokens, record.model)
    metrics.observe("request_prompt_tokens", record.usage.prompt_tokens, record.model)
    metrics.observe("request_generation_tokens", record.usage.completion_tokens, record.model)
    for (source, target), characters in record.translated_characters.items():
        metrics.count("translated_characters_total", characters, source, target)


def _times(metrics: Metrics, record: Record, model: str, spent_s: float, trace_id: str | None) -> None:
    labels = (model, record.endpoint)
    metrics.observe("e2e_request_latency_seconds", spent_s, *labels, trace_id=trace_id)
    for name, time_s in (
        ("request_queue_time_seconds", record.queue_s),
        ("request_inference_time_seconds", record.inference_s),
        ("request_tokenization_seconds", record.tokenization_s),
    ):
        if time_s is not None:
            metrics.observe(name, time_s, *labels, trace_id=trace_id)
    timing, usage = record.timing, record.usage
    if not record.generates or timing is None or timing.taken_s is None or timing.first_s is None:
        return
    metrics.observe("time_to_first_token_seconds", timing.first_s - record.received_s, model, trace_id=trace_id)
    metrics.observe("request_prefill_time_seconds", timing.first_s - timing.taken_s, model, trace_id=trace_id)
    if timing.ended_s is None:
        return
    decode_s = timing.ended_s - timing.first_s
    metrics.observe("request_decode_time_seconds", decode_s, model, trace_id=trace_id)
    for gap_s in record.gaps_s:
        metrics.observe("inter_token_latency_seconds", gap_s, model)
    choices = len(record.finish_reasons)
    if not record.gaps_s and usage is not None and choices:
        # Tokens of an answer sent whole have no times of their own: each counts with their mean.
        gaps = usage.completion_tokens // choices - 1
        if gaps > 0:
            metrics.observe("inter_token_latency_seconds", decode_s / gaps, model, times=gaps * choices)


log = logging.getLogger("server.access")
problem_log = logging.getLogger(__name__)

SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
UNNAMEABLE = re.compile(r"[^A-Za-z0-9._-]")
MOST_NAMES, MOST_CHARACTERS = 32, 64
"""The most characters of ``x-ignored-fields``."""
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
OPENAI_VERSION = b"2020-10-01"
"""The version of OpenAI's API that the answers follow; there is only one."""


class Spans(Protocol):
    """Records a trace of each request."""

    def tell(self, record: Record, headers: Iterable[tuple[bytes, bytes]], spent_s: float) -> str | None:
        """Record an ended request. Returns the id of its trace, if it has one."""


class Observe:
    """The middleware that gives requests their ids and records, and accounts for them."""

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
                raise  # the answer has begun: the exception makes uvicorn close the connection
            await errors.response_of(record.error, scope["path"])(scope, receive, answer)
        finally:
            self._close(scope, record)
            logs.request_id.reset(token)

    def _close(self, scope: Scope, record: Record) -> None:
        spent_s = time.perf_counter() - record.received_s
        if (route := scope.get("route")) is not None:
            record.endpoint = getattr(route, "path_format", record.endpoint)
        if isinstance(record.error, ClientLeft):
            record.status = record.error.status
        trace_id = self._spans.tell(record, scope["headers"], spent_s) if self._spans is not None else None
        account(self._metrics, record, spent_s, trace_id)
        facts = {
            "method": record.method,
            "endpoint": record.endpoint,
            "status": record.status,
            "duration_ms": round(spent_s * 1000, 2),
            "model": record.model,
            "code": record.error.code if record.error is not None else None,
            "key": (record.key_user.key.name or None) if record.key_user is not None else None,
        }
        if record.usage is not None:
            facts["prompt_tokens"] = record.usage.prompt_tokens
            facts["completion_tokens"] = record.usage.completion_tokens
        if record.timing is not None:
            facts["batch_rows"] = record.timing.batch_rows
        if self._spans is not None:
            facts["trace_id"] = trace_id
        if (detail := getattr(record.error, "detail", "")) != "":
            facts["detail"] = detail
        level = logging.WARNING if record.status >= 500 else logging.INFO
        log.log(level, "request", extra={"facts": facts})


def _id(scope: Scope) -> str:
    """The id that the caller sent with the request if it is well formed, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SANE_ID.fullmatch(text := value.decode("latin-1")):
            return str(text)
    return f"req_{uuid.uuid4().hex}"


def _names(fields: Iterable[str]) -> bytes:
    """A header's value that lists names made up by a client: cut, and without characters that a header cannot hold."""
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
