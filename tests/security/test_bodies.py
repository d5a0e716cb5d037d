"""Bodies made to exhaust or to mislead: bombs, names given twice, numbers and nesting without end."""

import gzip
import json
import tracemalloc
from typing import Any

import pytest
import zstandard

from server.api import request
from server.errors import TooLarge

pytestmark = pytest.mark.anyio

BODY = json.dumps({"input": "Hi"}).encode()
MB = 1_000_000


async def send(served: Any, raw: bytes, encoding: str = "identity", path: str = "/v1/sentiment") -> Any:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    return await served.http.post(path, content=raw, headers=headers)


async def test_a_body_compressed_with_zstd_is_read(served: Any) -> None:
    assert (await send(served, zstandard.compress(BODY), "zstd")).status_code == 200


@pytest.mark.parametrize("raw", [b"nonsense", b"", zstandard.compress(BODY)[:-3], zstandard.compress(BODY)[:6]])
async def test_damaged_zstd_is_a_400(served: Any, raw: bytes) -> None:
    assert (await send(served, raw, "zstd")).status_code == 400


@pytest.mark.parametrize("raw", [gzip.compress(BODY) + b"x", gzip.compress(BODY) * 2])
async def test_nothing_may_follow_what_was_compressed(served: Any, raw: bytes) -> None:
    assert (await send(served, raw, "gzip")).status_code == 400


async def test_without_its_extra_zstd_is_refused_by_name(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "zstandard", None)
    response = await send(served, zstandard.compress(BODY), "zstd")
    assert response.status_code == 415
    assert "extra 'zstd'" in response.json()["error"]["message"]


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_a_bomb_is_not_unpacked_beyond_the_limit(encoding: str, compress: Any) -> None:
    bomb = compress(bytes(200 * MB))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            request.unpack(bomb, encoding, MB)
        assert tracemalloc.get_traced_memory()[1] < 10 * MB
    finally:
        tracemalloc.stop()


async def test_a_zstd_frame_cannot_ask_for_a_large_window(served: Any) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = compressor.compress(BODY) + compressor.flush()
    assert zstandard.get_frame_parameters(raw).window_size == 2**27
    response = await send(served, raw, "zstd")
    assert response.status_code == 400
    assert "memory" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "raw",
    [
        '{"input": "a", "input": "b"}',
        '{"input": "a", "in\\u0070ut": "b"}',
        '{"input": "a", "input" : "b"}',
        '{"input": "a", "metadata": {"x": {"y": 1, "z": 2, "y": 3}}}',
        '{"input": "a", "a\\"b": 1, "a\\"b": 2}',
        '{"input": "a", "a\\"b": 1, "\\u0061\\"b": 2}',
        '{"input": "a", "x": [{"": 1, "": 2}]}',
        '{"input": "a", "b\\\\": {"c": 1}, "b\\\\"\t:\n{"c": 1, "d": 2}}',
    ],
)
async def test_a_name_given_twice_is_refused_however_it_is_spelt(served: Any, raw: str) -> None:
    response = await send(served, raw.encode())
    assert response.status_code == 400
    assert "twice in one object" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "raw",
    [
        '{"a": {"x": 1}, "b": {"x": 1}}',
        '{"a": "\\"a\\": 1, \\"a\\": 2"}',
        '{"a": [1, "b", {"c": "a"}]}',
        '{"text": "x:", "y": ":", ":z": 1}',
        pytest.param('{"text": "' + "\\n" * 500_000 + '"}', id="lines"),  # takes no longer than any text so long
    ],
)
def test_one_name_may_be_in_several_objects_and_in_texts(raw: str) -> None:
    assert request.parse(raw.encode()) == json.loads(raw)


@pytest.mark.parametrize(
    "number", ["9" * 4000, "-" + "9" * 4000, "9" * 100_000, "1" + "0" * 30, "1e400", "9" * 400 + ".5"]
)
@pytest.mark.parametrize("field", ["max_tokens", "seed", "temperature", "logit_bias"])
async def test_a_huge_number_is_a_400(served: Any, field: str, number: str) -> None:
    raw = f'{{"model": "assistant", "prompt": "a", "{field}": {number}}}'
    response = await send(served, raw.encode(), path="/v1/completions")
    assert response.status_code == 400
    assert len(response.text) < 1000


@pytest.mark.parametrize(
    "raw",
    [
        b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"input":' * 100_000,
        b'{"input": "\\ud800"}',
        b'{"input": "\\udc00\\ud800"}',
        b'{"input": "\xff"}',
        b'{"input": "\xed\xa0\x80"}',
        '{"input": "a"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"input": "a"}',
        b'{"input": NaN}',
        b'{"input": "a",}',
        b"{'input': 'a'}",
        b'{"input": "a"} {"input": "b"}',
        b'{"input": "a"}\x00',
    ],
)
async def test_what_is_no_json_is_a_400(served: Any, raw: bytes) -> None:
    assert (await send(served, raw)).status_code == 400
