"""A body's bytes: unpacked within a limit, and read as JSON that means one thing only."""

import io
import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from server.errors import BadRequest, TooLarge, UnsupportedMediaType

try:
    import zstandard
except ModuleNotFoundError:  # the extra `zstd`
    zstandard = None  # type: ignore[assignment]

WINDOW_BYTES = 8 * 1024 * 1024
"""The most memory a zstd frame may ask for, as the standard recommends for what comes from anybody."""

MEMBER = re.compile(rb'"\s*:')
"""Between the name and the value of a member of an object; a text may look like it too."""


def unpack(raw: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Undo the content encoding, and stop as soon as the limit is passed.

    Raises:
        UnsupportedMediaType: it is an encoding not read here.
        TooLarge: more than ``limit_bytes`` come out.
        BadRequest: it is damaged.
    """
    if encoding == "identity":
        return raw
    unpackers = _unpackers()
    if encoding not in unpackers:
        hint = " (its extra 'zstd' is not installed)" if encoding == "zstd" else ""
        raise UnsupportedMediaType(
            f"compressed with '{encoding[:40]}'{hint}", f"it plain or with {' or '.join(unpackers)}"
        )
    plain = unpackers[encoding](raw, limit_bytes + 1)
    if len(plain) > limit_bytes:
        raise TooLarge("The decompressed body", len(plain), limit_bytes)
    return plain


def parse(raw: bytes) -> Any:
    """JSON as one value. NaN, Infinity, lone surrogates, nesting without end and names given twice are refused.

    Raises:
        ValueError: says what is wrong and where.
    """
    value = from_json(raw, allow_inf_nan=False)
    if not _has_members(value, len(MEMBER.findall(raw))):
        json.loads(raw, object_pairs_hook=_require_distinct)
    return value


def _has_members(value: Any, count: int) -> bool:
    """Whether all objects in a value have so many members together. Of a name given twice only one is left."""
    inner = [value]
    for each in inner:  # it grows meanwhile
        if count == 0:
            break
        if isinstance(each, dict):
            count -= len(each)
            inner.extend(each.values())
        elif isinstance(each, list):
            inner.extend(each)
    return count == 0


def _require_distinct(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"the name '{name[:100]}' is there twice in one object")
        seen.add(name)


def _unpackers() -> Mapping[str, Callable[[bytes, int], bytes]]:
    return {"gzip": _gunzip} | ({"zstd": _unzstd} if zstandard is not None else {})


def _gunzip(raw: bytes, most: int) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    try:
        plain = decompressor.decompress(raw, most)
    except zlib.error:
        raise BadRequest("The body is not valid gzip.") from None
    if len(plain) < most and not decompressor.eof:
        raise BadRequest("The body is not valid gzip: it ends too early.")
    if decompressor.unused_data:
        raise BadRequest("The body goes on after its gzip data.")
    return plain


def _unzstd(raw: bytes, most: int) -> bytes:
    """What is cut off shows as JSON that is: the library does not say."""
    source = io.BytesIO(raw)
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(source) as reader:
            return reader.read(most)
    except zstandard.ZstdError:
        raise BadRequest("The body is not valid zstd, or asks for too much memory.") from None
