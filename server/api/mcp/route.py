"""``POST /mcp``: the tools by the Model Context Protocol, over streamable HTTP, by the protocol's official package.

Every request stands alone: there are no sessions, so that any process behind a load balancer can answer it, and no
streams, so that a server that ends has none to break. A call of a tool becomes a request to the tool's route within
this application, with the caller's key: it passes the same keys, limits and accounts as one from outside, and ends when
the caller leaves. The package is loaded at the first request, since it takes as long as the rest of the server.
"""

import asyncio
import importlib
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, Request, Response
from pydantic import ValidationError
from starlette.types import Message

from models.extras import how_to_install
from server.api.deps import RecordDep, RegistryDep, SettingsDep
from server.api.errors import from_validation
from server.api.mcp.tools import TOOLS, Answer, Tool
from server.api.record import Record
from server.api.request import JsonRoute
from server.errors import ExtraNotInstalled, OriginNotAllowed
from server.serving.registry import ModelRegistry
from server.serving.served_model import ModelStatus
from server.settings import Settings
from server.tasks.offload import SMALL_BYTES, offload

PASSED_ON = frozenset({b"authorization", b"x-api-key", b"host", b"traceparent", b"tracestate"})
"""The headers of a caller that the request to a tool's route has too."""


class ToolFailed(Exception):
    """A tool's route refused or failed; the message is for the model that called the tool."""


router = APIRouter(route_class=JsonRoute, tags=["MCP"])


@router.post("/mcp", response_class=Response)
async def serve_mcp(
    request: Request,
    body: Annotated[Any, Body(description="One message of the protocol (JSON-RPC).")],
    registry: RegistryDep,
    settings: SettingsDep,
    record: RecordDep,
) -> Response:
    """Answer one message of the Model Context Protocol (streamable HTTP, without sessions)."""
    require_origin(request, settings)
    if find_spec("mcp") is None:
        raise ExtraNotInstalled("mcp", how_to_install("mcp"))
    protocol = await asyncio.to_thread(importlib.import_module, "server.api.mcp.protocol")
    raw = await request.body()
    told: Response = await protocol.answer(request.scope, raw, request.app.version, Calls(request, registry, record))
    return told


def require_origin(request: Request, settings: Settings) -> None:
    """Refuse pages of other servers. A browser sends an Origin with every such request, other clients send none.

    Raises:
        OriginNotAllowed: the page is neither of this server nor of ``cors_origins``.
    """
    origin = request.headers.get("origin")
    if origin is None or "*" in settings.cors_origins or origin in settings.cors_origins:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise OriginNotAllowed


class Calls:
    """The tools that one caller can use, and their calls."""

    def __init__(self, request: Request, registry: ModelRegistry, record: Record) -> None:
        self._request = request
        self._record = record
        allows = record.key_user.allows if record.key_user is not None else lambda name: True
        self._models = [status for status in registry.served() if not status.reason and allows(status.id)]

    def tools(self) -> Sequence[tuple[Tool[Any], Sequence[ModelStatus]]]:
        """The tools that a model serves, each with its models."""
        served = [(tool, [status for status in self._models if tool.serves(status)]) for tool in TOOLS]
        return [(tool, models) for tool, models in served if models]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool.

        Raises:
            KeyError: there is no such tool.
            ToolFailed: the arguments are wrong, or the tool's route refuses or fails.
        """
        tool, models = {each[0].name: each for each in self.tools()}[name]

        def check() -> tuple[Any, bytes, str]:
            try:
                checked = tool.arguments.model_validate(arguments)
            except ValidationError as error:
                errors = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
                raise ToolFailed(from_validation(errors, dict(arguments)).message) from None
            call = tool.call(checked, models)
            return checked, json.dumps(call.body).encode(), call.path

        checked, raw, path = await offload(check, self._record.body_bytes, SMALL_BYTES)
        status, said = await self._ask(path, raw)

        def read() -> Answer:
            answer = json.loads(said)
            if status != 200:
                problem = answer["error"]
                raise ToolFailed(problem if isinstance(problem, str) else problem["message"])
            return tool.read(checked, answer)

        return await offload(read, len(said), SMALL_BYTES)

    async def _ask(self, path: str, raw: bytes) -> tuple[int, bytes]:
        """The status and the body of a route's answer."""
        left, sent, parts = asyncio.Event(), False, list[bytes]()
        status = 0

        async def receive() -> Message:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": raw, "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        work = asyncio.ensure_future(self._request.app(self._scope(path, len(raw)), receive, send))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            left.set()  # the route sees its client leave, stops its work and accounts for it
            await asyncio.wait({work})
            raise
        return status, b"".join(parts)

    def _scope(self, path: str, size: int) -> dict[str, Any]:
        outer = self._request.scope
        headers = [(name, value) for name, value in outer["headers"] if name in PASSED_ON]
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(size).encode()),
            (b"x-request-id", self._record.id.encode("latin-1")),
        ]
        kept = {name: outer[name] for name in ("type", "asgi", "http_version", "scheme", "client", "server")}
        place = {"method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
        return {**kept, **place, "headers": headers}
