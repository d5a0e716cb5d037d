"""Reading of bodies: compression, limits, and clients that disconnect while they send."""

import asyncio
import gzip
import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
BODY = json.dumps({"input": "Hi"}).encode()


async def send(served: Any, raw: bytes, **headers: str) -> Any:
    return await served.http.post("/v1/sentiment", content=raw, headers={**JSON, **headers})


async def test_a_gzipped_body_is_read(served: Any) -> None:
    assert (await send(served, gzip.compress(BODY), **{"content-encoding": "gzip"})).status_code == 200


@pytest.mark.parametrize("raw", [b"nonsense", gzip.compress(BODY)[:-4], b""])
async def test_damaged_gzip_is_a_400(served: Any, raw: bytes) -> None:
    assert (await send(served, raw, **{"content-encoding": "gzip"})).status_code == 400


async def test_a_gzip_bomb_is_a_413(serving: Any) -> None:
    async with serving(max_body_bytes=10_000) as served:
        raw = gzip.compress(b" " * 5_000_000)
        assert len(raw) < 10_000
        assert (await send(served, raw, **{"content-encoding": "gzip"})).status_code == 413


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "x" * 500])
async def test_another_compression_is_a_415(served: Any, encoding: str) -> None:
    assert (await send(served, BODY, **{"content-encoding": encoding})).status_code == 415


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON",
                                  "application/vnd.api+json"])  # fmt: skip
async def test_json_is_known_by_its_content_type(served: Any, kind: str) -> None:
    response = await served.http.post("/v1/sentiment", content=BODY, headers={"content-type": kind})
    assert response.status_code == 200


async def test_a_body_far_over_the_limit_is_not_read_to_its_end(serving: Any) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1000
            yield b" " * 1000

    async with serving(max_body_bytes=1000) as served:
        response = await served.http.post("/v1/sentiment", content=endless(), headers=JSON)
    assert response.status_code == 413
    assert sent <= 20_000


async def test_a_body_that_never_ends_is_not_waited_for_without_end(serving: Any) -> None:
    async def stalls() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    async with serving(body_timeout_s=0.05) as served:
        response = await served.http.post("/v1/sentiment", content=stalls(), headers=JSON)
    assert response.status_code == 408
    assert response.headers["connection"] == "close"
