"""Requests that two parsers would read in two ways: refused, and the connection closed, so that nothing follows."""

from typing import Any

import pytest

from server.http.connection import MAX_HEAD_BYTES, MAX_HEADERS
from tests.security.conftest import GET, answer

pytestmark = pytest.mark.anyio

BODY = b'{"input":"Hi"}'
HEAD = b"POST /v1/sentiment HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

AMBIGUOUS = {
    "CL.TE": HEAD + b"content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG",
    "TE.CL": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n" + CHUNKS,
    "two lengths": HEAD + b"content-length: 14\r\ncontent-length: 0\r\n\r\n" + BODY,
    "one length twice": HEAD + b"content-length: 14\r\ncontent-length: 14\r\n\r\n" + BODY,
    "a list of lengths": HEAD + b"content-length: 14, 0\r\n\r\n" + BODY,
    "a length with a sign": HEAD + b"content-length: +14\r\n\r\n" + BODY,
    "a length in hexadecimal": HEAD + b"content-length: 0xe\r\n\r\n" + BODY,
    "a negative length": HEAD + b"content-length: -1\r\n\r\n" + BODY,
    "a length without end": HEAD + b"content-length: " + b"9" * 40 + b"\r\n\r\n" + BODY,
    "two encodings": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "an unknown encoding": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "an odd encoding": HEAD + b"transfer-encoding: \x0bchunked\r\n\r\n" + CHUNKS,
    "chunks in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "a space before the colon": HEAD + b"content-length : 14\r\n\r\n" + BODY,
    "a folded header": HEAD + b"x-a: b\r\n content-length: 0\r\ncontent-length: 14\r\n\r\n" + BODY,
    "a bare LF": HEAD + b"x-a: b\ncontent-length: 14\r\n\r\n" + BODY,
    "a bare CR": HEAD + b"x-a: b\rcontent-length: 0\r\ncontent-length: 14\r\n\r\n" + BODY,
    "all bare LFs": b"GET /health HTTP/1.1\nhost: localhost\n\n",
    "a NUL": HEAD + b"x-a: \x00b\r\ncontent-length: 14\r\n\r\n" + BODY,
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "no version": b"GET /health\r\n\r\n",
    "another version": b"GET /health HTTP/3.0\r\nhost: a\r\n\r\n",
    "a space in the target": b"GET /health /x HTTP/1.1\r\nhost: a\r\n\r\n",
    "a bad chunk size": HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk longer than it says": HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n" + BODY + b"\r\n0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}  # fmt: skip


async def test_what_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(listening: Any) -> None:
    async with listening() as server:
        for place, (case, raw) in enumerate(AMBIGUOUS.items(), 1):
            got = await server.send(raw + GET)
            assert got.startswith(b"HTTP/1.1 400 "), case
            assert got.count(b"HTTP/1.1 ") == 1, case
            assert b'"code":"invalid_request"' in got, case
            assert b"x-request-id: req_" in got, case
            assert not server.served.engines["sentiment"].began.is_set(), case
            assert server.served.metrics.value("requests_rejected_total", "invalid_request") == place, case


async def test_plain_requests_are_read_also_one_behind_the_other(listening: Any) -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        sized = HEAD + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
        chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS
        writer.write(sized + GET + chunked + GET)
        bodies = [await answer(reader) for _ in range(4)]
        writer.close()
    assert [status for status, _, _ in bodies] == [200] * 4
    assert [b"sentiment" in body for _, _, body in bodies] == [True, False, True, False]


async def test_a_head_may_come_in_pieces(listening: Any) -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        for byte in GET:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await answer(reader))[0] == 200
        writer.close()


LARGE = {
    "request line": b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    "header": b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "number of headers": b"GET /health HTTP/1.1\r\nhost: a\r\n" + b"x: a\r\n" * MAX_HEADERS + b"\r\n",
    "without end": b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * 3 * MAX_HEAD_BYTES,
}


async def test_a_head_over_its_limits_is_a_431(listening: Any) -> None:
    async with listening() as server:
        for case, raw in LARGE.items():
            got = await server.send(raw)
            assert got.startswith(b"HTTP/1.1 431 "), case
            assert b'"code":"head_too_large"' in got, case


async def test_a_broken_body_never_gets_two_answers(listening: Any) -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(b"POST /nix HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}")
        status, _, _ = await answer(reader)
        writer.write(b"\r\nnonsense\r\n\r\n" + GET)
        assert status == 404
        assert await reader.read() == b""
        writer.close()


async def test_an_upgrade_is_not_made(listening: Any) -> None:
    async with listening() as server:
        raw = GET.replace(b"\r\n\r\n", b"\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n\r\n")
        assert (await server.send(raw)).startswith(b"HTTP/1.1 200 ")
