"""The target of the attacks: the application of tests/api, in process or on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from server.http.server import Server, make_server
from server.settings import Settings
from tests.api import conftest as api

serving = api.serving
served = api.served
shipped = api.shipped
logged = api.logged
until = api.until

GET = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


@dataclass
class Listening:
    """The application behind the server's own sockets."""

    served: Any
    server: Server
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, raw: bytes) -> bytes:
        """All that comes back until the server closes the connection."""
        reader, writer = await self.connect()
        try:
            writer.write(raw)
            return await reader.read()
        finally:
            writer.close()

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


Listen = Callable[..., AbstractAsyncContextManager[Listening]]


@pytest.fixture
def listening(serving: Any) -> Listen:
    """``async with listening(header_timeout_s=…) as server``."""

    @asynccontextmanager
    async def listen(**settings: Any) -> AsyncIterator[Listening]:
        async with serving(**settings) as made:
            settings.pop("patience_s", None)
            server = make_server(made.app, Settings(port=0, **settings))
            running = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
                await asyncio.sleep(0)
            port = server.servers[0].sockets[0].getsockname()[1]
            try:
                yield Listening(made, server, port)
            finally:
                server.should_exit = True
                await running

    return listen


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """One answer: status, headers, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split(" ")[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))
