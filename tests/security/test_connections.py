"""Clients that are slow, silent, greedy or many: each is bounded, and nobody else waits for them."""

import asyncio
import resource
import socket
from contextlib import suppress
from typing import Any

import pytest

from server.http import connection
from server.http.connection import room_for
from tests.security.conftest import GET, Listening, answer

pytestmark = pytest.mark.anyio

SOON_S = 0.05
POST = b"POST /v1/sentiment HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
ASK = POST + b'content-length: 14\r\n\r\n{"input":"Hi"}'


async def healthy(server: Listening) -> bool:
    return (await server.send(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))).startswith(b"HTTP/1.1 200 ")


async def trickle(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send until the other side has had enough."""
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "after another"])
@pytest.mark.parametrize("part", [b"G", GET[:-2], GET[:-2] + b"x-a: b\r\n"])
async def test_a_head_that_does_not_come_is_a_408(listening: Any, before: bytes, part: bytes) -> None:
    async with listening(header_timeout_s=SOON_S) as server:
        got = await server.send(before + part)
        assert got.count(b"HTTP/1.1 ") == 1 + bool(before)
        assert b"HTTP/1.1 408 " in got
        assert b'"code":"request_timeout"' in got
        assert server.served.metrics.value("requests_rejected_total", "request_timeout") == 1


async def test_a_byte_now_and_then_does_not_make_a_head_last(listening: Any) -> None:
    async with listening(header_timeout_s=SOON_S) as server:
        _, writer = await server.connect()
        writer.write(GET[:-2])
        with pytest.raises(ConnectionError):
            await trickle(writer, b"x")
        assert server.served.metrics.value("requests_rejected_total", "request_timeout") == 1
        writer.close()


async def test_a_connection_that_never_says_a_word_is_closed(listening: Any) -> None:
    async with listening(header_timeout_s=SOON_S) as server:
        with suppress(ConnectionResetError):
            assert await server.send(b"") == b""


async def test_a_body_that_does_not_come_is_a_408_and_the_connection_is_closed(listening: Any) -> None:
    async with listening(body_timeout_s=SOON_S) as server:
        got = await server.send(POST + b"content-length: 100\r\n\r\n{")
        assert got.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in got


@pytest.mark.parametrize("framing", [b"content-length: 1000000000", b"transfer-encoding: chunked"])
async def test_a_body_that_goes_on_after_its_answer_is_cut(
    listening: Any, framing: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_S", SOON_S)
    chunk = b"a" * 1000 if b"length" in framing else b"3e8\r\n" + b"a" * 1000 + b"\r\n"
    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(b"POST /nix HTTP/1.1\r\nhost: a\r\n" + framing + b"\r\n\r\n")
        assert (await answer(reader))[0] == 404
        with pytest.raises(ConnectionError):
            await trickle(writer, chunk)
        assert server.connections == 0


async def test_over_the_limit_the_longest_idle_gives_way(listening: Any) -> None:
    async with listening(max_connections=3) as server:
        first, second, third = [await server.connect() for _ in range(3)]
        second[1].write(GET)
        assert (await answer(second[0]))[0] == 200
        assert await healthy(server)
        with suppress(ConnectionResetError):
            assert await first[0].read() == b"", "the oldest was closed"
        for reader, writer in (second, third):
            writer.write(GET)
            assert (await answer(reader))[0] == 200
        for _, writer in (first, second, third):
            writer.close()


async def test_where_all_are_busy_the_next_is_told_so(listening: Any, until: Any) -> None:
    async with listening(max_connections=2) as server:
        server.served.engines["sentiment"].gate.clear()
        busy = [await server.connect() for _ in range(2)]
        for _, writer in busy:
            writer.write(ASK)
        batcher = server.served.registry.models["sentiment"].batcher
        # The second request may come after the first one's batch has gone.
        await until(lambda: batcher.running + batcher.waiting[0] == 2)
        got = await server.send(GET)
        assert got.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in got
        assert b'"code":"unavailable"' in got
        server.served.engines["sentiment"].gate.set()
        for reader, writer in busy:
            assert (await answer(reader))[0] == 200
            writer.close()


async def test_a_client_that_does_not_read_is_cut_and_holds_no_memory_and_nobody_up(listening: Any, until: Any) -> None:
    async with listening(send_timeout_s=0.5) as server:
        greedy = socket.socket()
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setblocking(False)
        await asyncio.get_running_loop().sock_connect(greedy, ("127.0.0.1", server.port))
        asks = asyncio.ensure_future(
            asyncio.get_running_loop().sock_sendall(greedy, b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n" * 500)
        )
        await until(lambda: any(each.flow.write_paused for each in server.server.server_state.connections))
        (stuck,) = server.server.server_state.connections
        whole = len(await server.send(b"GET /openapi.json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
        assert stuck.transport.get_write_buffer_size() <= whole + 100_000, "one answer waits, not five hundred"
        assert await healthy(server)
        await until(lambda: stuck not in server.server.server_state.connections)
        await until(lambda: not server.server.server_state.tasks)
        asks.cancel()
        greedy.close()


async def test_what_is_left_unread_at_the_end_does_not_hold_a_connection(listening: Any, until: Any) -> None:
    body = b'{"input":["a","b","c","d","e"]}'
    ask = b"POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    async with listening(keep_alive_s=1.0) as server:
        greedy = socket.socket()
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(greedy, ("127.0.0.1", server.port))
        await until(lambda: server.connections == 1)
        (stuck,) = server.server.server_state.connections
        stuck.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await loop.sock_sendall(greedy, ask % (len(body), body))
        await until(lambda: stuck.transport.get_write_buffer_size() > 0)
        assert not stuck.flow.write_paused, "so little that nothing else looks at it"
        await until(lambda: server.connections == 0)
        greedy.close()


def test_the_limit_on_open_files_bounds_the_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        assert room_for(2000) == 2000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2000 + connection.RESERVED_FILES
        assert room_for(hard) == hard - connection.RESERVED_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
