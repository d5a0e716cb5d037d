"""What `server.http.connection` uses of the libraries whose classes it subclasses is still there.

The names are read from our source, so the list cannot be out of date: a name that a new version of uvicorn or h11 has
renamed or dropped fails a test that says which. That a hook is not only there but called is what the other tests of
this folder show.
"""

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import pytest
import uvicorn
from uvicorn.protocols.http import h11_impl
from uvicorn.server import ServerState

from server.http import connection, server

REQUEST = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n"
OURS = {"head", "handle_hangup"}
"""What we added, and what only other code of ours calls."""
CALLED_BY_ASYNCIO = {"connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing"}


@dataclass(frozen=True)
class Subclass:
    """A class of ours over a class of a library."""

    ours: type
    theirs: type
    caller: Any
    """Whose code calls the methods that we override."""


SUBCLASSES = [
    Subclass(connection.Connection, h11_impl.H11Protocol, h11_impl),
    Subclass(connection.StrictConnection, h11.Connection, h11_impl),
    Subclass(server.Server, uvicorn.Server, uvicorn.server),
]


def body_of(kind: type) -> ast.ClassDef:
    found = ast.parse(Path(inspect.getfile(kind)).read_text("utf-8")).body
    return next(node for node in found if isinstance(node, ast.ClassDef) and node.name == kind.__name__)


def chain(node: ast.expr) -> str:
    """``self.a.b`` as ``a.b``; nothing for what does not begin at ``self``."""
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return node.attr
        if before := chain(node.value):
            return f"{before}.{node.attr}"
    return ""


def own_names(body: ast.ClassDef) -> set[str]:
    """Methods, and attributes that we set ourselves and the library never made."""
    methods = {node.name for node in body.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    made = {
        chain(target)
        for node in ast.walk(body)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    return methods | {name for name in made if name.startswith("_")} | OURS


def used() -> Iterator[tuple[Subclass, str]]:
    """Each attribute path of the library's that one of our classes reads or sets."""
    for each in SUBCLASSES:
        body = body_of(each.ours)
        ours = own_names(body)
        paths = {chain(node) for node in ast.walk(body) if isinstance(node, ast.Attribute)} - {""}
        yield from ((each, path) for path in sorted(paths) if path.split(".")[0] not in ours)


def overridden() -> Iterator[tuple[Subclass, str]]:
    """Each method of ours that only the library calls: our code does not, or goes on to the library's own."""
    for each in SUBCLASSES:
        body = body_of(each.ours)
        methods = {node.name for node in body.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        called = {chain(node) for node in ast.walk(body) if isinstance(node, ast.Attribute)}
        extended = set(re.findall(r"super\(\)\.(\w+)", ast.unparse(body)))
        yield from ((each, name) for name in sorted((methods - called | extended) - {"__init__"} - OURS))


def named(case: object) -> str:
    return case.ours.__name__ if isinstance(case, Subclass) else str(case)


class Transport(asyncio.Transport):
    """A connection to nobody."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        pass


async def instance(kind: type, ended: asyncio.Event) -> Any:
    """One of the library's own, in the middle of a request until the event."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await ended.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    if kind is h11.Connection:
        return h11.Connection(h11.SERVER)
    config = uvicorn.Config(answer, lifespan="off", log_config=None)
    if kind is uvicorn.Server:
        server = uvicorn.Server(config)
        server.servers = []  # made by its start
        return server
    config.load()
    protocol = h11_impl.H11Protocol(config, ServerState(), {})
    assert isinstance(protocol.conn, h11.Connection)
    protocol.conn = connection.StrictConnection()  # as ours does
    protocol.connection_made(Transport())
    protocol.data_received(REQUEST)
    return protocol


@pytest.mark.anyio
@pytest.mark.parametrize(("each", "path"), list(used()), ids=named)
async def test_what_we_use_of_a_library_is_there(each: Subclass, path: str) -> None:
    ended = asyncio.Event()
    found = await instance(each.theirs, ended)
    tasks = getattr(found, "tasks", set())
    try:
        for name in path.split("."):
            assert hasattr(found, name), f"{each.theirs.__module__}.{each.theirs.__name__} has no {path} any more"
            found = getattr(found, name)
    finally:
        ended.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize(("each", "name"), list(overridden()), ids=named)
def test_what_we_override_is_still_called(each: Subclass, name: str) -> None:
    assert name in CALLED_BY_ASYNCIO or f".{name}" in inspect.getsource(each.caller), (
        f"{each.theirs.__module__}.{each.theirs.__name__} does not call {name} any more"
    )
