"""Reads the body of a request: within its limits of size and time, unpacked, as JSON that means one thing only.

A route that takes JSON is a `JsonRoute`: its work stops when the client leaves or the deadline passes.
"""

import asyncio
import io
import json
import re
import zlib
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from server.api import request
from server.api.record import KEY, Record
from server.api.schemas.base import ignored
from server.errors import BadRequest, ClientLeft, DeadlinePassed, TooLarge, TooSlow, UnsupportedMediaType
from server.tasks.offload import SMALL_BYTES, offload

try:
    import zstandard
except ModuleNotFoundError:  # the extra `zstd`
    zstandard = None  # type: ignore[assignment]

WINDOW_BYTES = 8 * 1024 * 1024
"""The most memory that a zstd frame may ask for: the standard's limit for data from unknown senders."""

MEMBER = re.compile(rb'"\s*:')
"""The characters between the name and the value of an object's member. A text may contain them too."""


def unpack(raw: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Undo the content encoding, and stop as soon as the limit is passed.

    Raises:
        UnsupportedMediaType: the encoding is not supported.
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
    """Whether all objects in a value have so many members together. A name given twice leaves only one member."""
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
    """Unpack zstd. The library reports no frame that is cut off; the JSON in it is then incomplete, and refused."""
    source = io.BytesIO(raw)
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(source) as reader:
            return reader.read(most)
    except zstandard.ZstdError:
        raise BadRequest("The body is not valid zstd, or asks for too much memory.") from None


T = TypeVar("T")

DRAINED = 8
"""A body over the limit is read and thrown away, up to so many times the limit: if the connection were closed while the
client still sends, the client would not see the answer."""


class JsonRequest(Request):
    """A request whose body is JSON."""

    def __init__(self, scope: Any, receive: Receive, limit_bytes: int) -> None:
        super().__init__(scope, receive)
        self._limit_bytes = limit_bytes
        self._json: Any = None
        """The body as JSON, or as the pydantic model that it was checked against."""

    @property
    def named_model(self) -> str | None:
        """The model that the request asks for, once its body is parsed; None where it names none."""
        named = self._json.get("model") if isinstance(self._json, dict) else getattr(self._json, "model", None)
        return named if isinstance(named, str) else None

    async def body(self) -> bytes:
        """Read the body, within the limit before and after decompression.

        Raises:
            UnsupportedMediaType: it is not JSON, or compressed in a way that is not read here.
            TooLarge: it is over the limit.
            BadRequest: its compression is damaged.
        """
        if not hasattr(self, "_body"):
            self._require_json()
            raw = await self._read()
            encoding = self.headers.get("content-encoding", "identity").strip().lower()
            size = 0 if encoding == "identity" else DRAINED * len(raw)
            self._body = await offload(lambda: request.unpack(raw, encoding, self._limit_bytes), size, SMALL_BYTES)
        return self._body

    async def json(self) -> Any:
        """Parse the body, strictly."""
        if self._json is not None:
            return self._json
        try:
            raw = await self.body()
            self._json = await offload(lambda: request.parse(raw), len(raw), SMALL_BYTES)
            return self._json
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None

    async def check(self, field: Any) -> None:
        """Parse a large body and check it, in a thread. FastAPI, which would do both on the event loop, uses the
        result.

        Raises:
            RequestValidationError: as FastAPI would.
        """
        size = self.scope[KEY].body_bytes = len(await self.body())
        if size <= SMALL_BYTES:
            return
        with suppress(json.JSONDecodeError):  # FastAPI reads the body again
            plain = await self.json()
            checked, errors = await offload(lambda: field.validate(plain, loc=("body",)), size, SMALL_BYTES)
            if errors:
                raise RequestValidationError(errors, body=plain)
            self._json = checked

    def _require_json(self) -> None:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
            raise UnsupportedMediaType(kind[:80], "application/json")

    async def _read(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in self.stream():
                size += len(chunk)
                if size <= self._limit_bytes:
                    chunks.append(chunk)
                elif size > DRAINED * self._limit_bytes:
                    break
        except ClientDisconnect:
            raise ClientLeft from None
        if size > self._limit_bytes:
            raise TooLarge("The body", size, self._limit_bytes)
        return b"".join(chunks)


class JsonRoute(APIRoute):
    """A route whose work stops when the client leaves or the deadline passes."""

    request_class: ClassVar[type[JsonRequest]] = JsonRequest

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        original = super().get_route_handler()
        field = self.body_field
        if field is None:
            return original  # such a route does no work that takes time

        async def answer(request: JsonRequest) -> Response:
            await request.check(field)
            return await original(request)

        async def handle(request: Request) -> Response:
            settings = request.app.state.settings
            record: Record = request.scope[KEY]
            if settings.unknown_fields == "ignore":
                record.ignored = set()
            request = self.request_class(request.scope, request.receive, settings.max_body_bytes)
            try:
                async with asyncio.timeout(settings.body_timeout_s):
                    await request.body()
            except TimeoutError:
                raise TooSlow("The body", settings.body_timeout_s) from None
            token = ignored.set(record.ignored)
            try:
                return await attended(answer(request), request.receive, settings.request_timeout_s)
            finally:
                ignored.reset(token)

        return handle


async def attended(work: Coroutine[Any, Any, T], receive: Receive, limit_s: float) -> T:
    """Do the work unless the client leaves or the deadline passes first. The work has stopped when this returns.

    Raises:
        ClientLeft: the client closed the connection.
        DeadlinePassed: the work took longer than ``limit_s``.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait({task, gone}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientLeft if gone.done() else DeadlinePassed(limit_s)
    finally:
        await stop(task, gone)


async def left(receive: Receive) -> None:
    """Wait until the client is gone. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def stop(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel running tasks, and wait until they have cleaned up."""
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
