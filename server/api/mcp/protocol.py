"""The Model Context Protocol's messages, by its official package. The only module that imports the package."""

import asyncio
import logging
from typing import Any

from fastapi import Response
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp.types import Tool as ToolTold
from starlette.types import Message, Scope

from server.api.mcp.route import Calls, ToolFailed

DROPPED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""The headers of a body that has been unpacked."""

INSTRUCTIONS = (
    "Small models that run on this machine: no text that you send leaves it. They are quick and cheap, and less able "
    "than you: use them for what is plain or secret, and for long lists."
)

logging.getLogger("mcp").setLevel(logging.WARNING)  # it tells of every request, which the access line does too


async def answer(scope: Scope, raw: bytes, version: str, calls: Calls) -> Response:
    """Answer one message.

    Args:
        scope: of the request.
        raw: its body, unpacked.
        version: of this server.
        calls: the tools of the caller.
    """
    is_read = False
    start: Message = {}
    parts: list[bytes] = []

    async def receive() -> Message:
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()  # the route watches whether the caller leaves, and then cancels this task
        is_read = True
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        parts.append(message.get("body", b""))

    headers = [(name, value) for name, value in scope["headers"] if name not in DROPPED]
    manager = StreamableHTTPSessionManager(
        _server(version, calls), json_response=True, stateless=True, max_request_body_size=len(raw) + 1
    )
    async with manager.run():
        await manager.handle_request({**scope, "headers": headers}, receive, send)
    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    told.pop("content-length", None)
    return Response(b"".join(parts), start["status"], told)


def _server(version: str, calls: Calls) -> Server[Any]:
    async def list_tools(context: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                ToolTold(
                    name=tool.name,
                    title=tool.title,
                    description=tool.about,
                    input_schema=tool.schema(models),
                    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
                )
                for tool, models in calls.tools()
            ]
        )

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            done = await calls.call(params.name, params.arguments or {})
        except KeyError:
            raise MCPError(INVALID_PARAMS, f"There is no tool '{params.name[:100]}'.") from None
        except ToolFailed as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)
        return CallToolResult(content=[TextContent(type="text", text=done.text)], structured_content=dict(done.data))

    return Server(
        "hearth",
        version=version,
        title="Hearth",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
