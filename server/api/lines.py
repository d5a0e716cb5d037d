"""Answers the lines of batches: the same routes, checks and answers as for requests, without a connection.

`ENDPOINTS` is the table of what a batch can ask. A line is background work: its rows go behind those of requests
(``server/batching/policy.py``). Its tokens are counted as a request's, its times are not, and no rate limits it.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Sequence

from fastapi import FastAPI
from starlette.datastructures import State
from starlette.types import Message

from server.api import access, errors
from server.api.keys import Keyring
from server.api.record import KEY, Record
from server.engines.base import background
from server.errors import NotAuthenticated, ServerError
from server.jobs.runner import Answer
from server.metrics import Metrics
from server.store.batches import WINDOW_S, Tokens

log = logging.getLogger(__name__)

ENDPOINTS: Sequence[str] = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/decisions",
    "/v1/translations",
    "/v1/sentiment",
    "/v1/summaries",
)
"""Paths of routes that take JSON and answer with JSON."""


class LineAnswers:
    """Asks an application's routes.

    Args:
        app: with its routes and its state; its middlewares are left out.
        keyring: the keys; None: no keys are needed.
        metrics: counts tokens.
    """

    def __init__(self, app: FastAPI, keyring: Keyring | None, metrics: Metrics) -> None:
        self._keyring = keyring
        self._metrics = metrics
        self._app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        errors.install(self._app)
        routes = {getattr(route, "path", ""): route for route in app.router.routes}
        self._app.router.routes.extend(routes[path] for path in ENDPOINTS)
        # A line may wait behind requests for as long as its batch has time.
        settings = app.state.settings.model_copy(update={"request_timeout_s": float(WINDOW_S)})
        self._app.state = State({**app.state._state, "settings": settings})

    async def __call__(self, endpoint: str, body: bytes, owner: str) -> Answer:
        """Answer a line."""
        record = Record(f"req_{uuid.uuid4().hex}", "POST", time.perf_counter(), endpoint)
        if self._keyring is not None:
            record.key_user = self._keyring.owner(owner)
            if record.key_user is None:
                return _failed(record, NotAuthenticated())
        received = iter([{"type": "http.request", "body": body, "more_body": False}])
        status, headers, chunks = 500, {}, []

        async def receive() -> Message:
            message: Message | None = next(received, None)
            return message if message is not None else await asyncio.get_running_loop().create_future()

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], dict(message["headers"])
            else:
                chunks.append(message.get("body", b""))

        token = background.set(True)
        try:
            await self._app(_scope(endpoint, record), receive, send)
        except Exception:
            log.exception("a line of a batch failed")
            return _failed(record, ServerError())
        finally:
            background.reset(token)
        access.count_tokens(self._metrics, record)
        retry_after = headers.get(b"retry-after", b"")
        return Answer(
            status,
            record.id,
            _one_line(b"".join(chunks)),
            _tokens(record),
            float(retry_after) if retry_after else None,
        )


def _scope(endpoint: str, record: Record) -> dict[str, object]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": endpoint,
        "raw_path": endpoint.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": None,
        "server": None,
        KEY: record,
    }


def _failed(record: Record, error: ServerError) -> Answer:
    response = errors.response_of(error, record.endpoint)
    return Answer(response.status_code, record.id, bytes(response.body))


def _one_line(body: bytes) -> bytes:
    """JSON without line ends between its parts; ours has none, but a line of output must not depend on it."""
    return json.dumps(json.loads(body), ensure_ascii=False).encode() if b"\n" in body else body


def _tokens(record: Record) -> Tokens:
    used = record.usage
    if used is None:
        return Tokens()
    return Tokens(used.prompt_tokens, used.cached_tokens, used.completion_tokens, used.reasoning_tokens or 0)


class CountedBatches:
    """The runner's observer: counts in the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def line(self, endpoint: str, outcome: str) -> None:
        """A line is answered."""
        self._metrics.count("batch_lines_total", 1, endpoint, outcome)

    def batch(self, endpoint: str, ending: str) -> None:
        """A batch has ended."""
        self._metrics.count("batches_total", 1, endpoint, ending)
