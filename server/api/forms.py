"""Forms with one file each, read as they arrive: the file goes on to its writer piece by piece, whatever its size."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from email.message import Message

from fastapi import Request
from starlette.requests import ClientDisconnect

from server.errors import BadRequest, ClientLeft, InvalidValue, TooSlow, UnsupportedMediaType
from server.settings import Settings

MULTIPART = "multipart/form-data"
MOST_HEADER_BYTES = 8_000
"""Of one part of a form."""
MOST_VALUE_BYTES = 8_000
"""Of a field that is no file."""
MOST_FIELDS = 100


def disposition(head: bytes) -> tuple[str, str | None]:
    """The name of a part, and the name of its file where it is one."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        field, _, value = line.partition(":")
        if field.strip().lower() == "content-disposition":
            said = Message()
            said["content-disposition"] = value.strip()
            name = said.get_param("name", "", header="content-disposition")
            return name if isinstance(name, str) else "", said.get_filename()
    return "", None


@dataclass(slots=True)
class Form:
    """The fields of a form, and the name of its file; None: it had none."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None


class _Pieces:
    """A body as it arrives, cut at marks. Each byte is searched about once."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._buffer = bytearray(b"\r\n")  # the first mark has no line before it

    async def until(self, mark: bytes) -> AsyncIterator[bytes]:
        """All bytes before the mark, which is skipped.

        Raises:
            BadRequest: the body ends without it.
        """
        while (place := self._buffer.find(mark)) < 0:
            if (safe := len(self._buffer) - len(mark) + 1) > 0:
                yield bytes(self._buffer[:safe])
                del self._buffer[:safe]
            await self._more()
        yield bytes(self._buffer[:place])
        del self._buffer[: place + len(mark)]

    async def short(self, mark: bytes, most: int, what: str) -> bytes:
        """The same at once, where it is short."""
        found = bytearray()
        async for piece in self.until(mark):
            found += piece
            if len(found) > most:
                raise BadRequest(f"The form is malformed: {what} has more than {most} bytes.")
        return bytes(found)

    async def take(self, count: int) -> bytes:
        """The next bytes."""
        while len(self._buffer) < count:
            await self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _more(self) -> None:
        try:
            self._buffer += await anext(self._source)
        except StopAsyncIteration:
            raise BadRequest("The form is malformed: its parts do not end as its header says.") from None


def require_own_page(request: Request, origins: Collection[str]) -> None:
    """Refuse a form that a page of another origin sends: a browser asks nobody before it sends one.

    Args:
        request: with an ``Origin`` where a page sends it.
        origins: those whose pages may call the API; '*' means all.

    Raises:
        BadRequest: the page is none of this server's and none of these.
    """
    origin = request.headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return
    if origin.partition("://")[2] != request.headers.get("host"):
        raise BadRequest("A page of another origin may not send files here; name its origin in cors_origins.")


async def read_form(
    request: Request, file_field: str, write: Callable[[bytes], Awaitable[None]], settings: Settings
) -> Form:
    """Read a form whose file is in the field ``file_field``, before or after its other fields.

    Args:
        request: its body must not have been read.
        file_field: no other field may be a file.
        write: gets the file's bytes.
        settings: the longest time between two pieces of the body, and the origins whose pages may send a form.

    Raises:
        UnsupportedMediaType: it is no form.
        BadRequest: it is malformed, or a page of another origin sends it.
        TooSlow: the next piece did not arrive in time.
        ClientLeft: the client closed the connection.
    """
    require_own_page(request, settings.cors_origins)
    kind = Message()
    kind["content-type"] = told = request.headers.get("content-type", "")
    boundary = str(kind.get_param("boundary", "")).encode("latin-1", "replace")
    if kind.get_content_type() != MULTIPART or not 0 < len(boundary) <= 200:
        raise UnsupportedMediaType(told[:80], MULTIPART)
    mark = b"\r\n--" + boundary
    source = _patient(request, settings.body_timeout_s)
    pieces = _Pieces(source)
    form = Form()
    await pieces.short(mark, MOST_HEADER_BYTES, "what comes before its first part")
    while (ends := await pieces.take(2)) != b"--":
        if ends != b"\r\n":
            raise BadRequest("The form is malformed: after its boundary comes neither a part nor its end.")
        name, filename = disposition(await pieces.short(b"\r\n\r\n", MOST_HEADER_BYTES, "the head of a part"))
        if not name or name in form.fields or len(form.fields) > MOST_FIELDS:
            raise BadRequest("The form is malformed: a part has no name, a name is there twice, or there are too many.")
        if filename is None:
            value = await pieces.short(mark, MOST_VALUE_BYTES, f"the field '{name[:80]}'")
            try:
                form.fields[name] = value.decode("utf-8")
            except UnicodeDecodeError:
                raise BadRequest(f"The form's field '{name[:80]}' is not UTF-8.") from None
            continue
        if name != file_field or form.filename is not None:
            raise InvalidValue(f"'{name[:80]}': the form has one file, in the field '{file_field}'.", name[:80])
        form.filename = filename
        async for piece in pieces.until(mark):
            await write(piece)
    async for _ in source:  # what comes after the form says nothing
        pass
    if form.filename is None:
        raise InvalidValue(f"'{file_field}' is missing, or is no file.", file_field)
    return form


async def _patient(request: Request, patience_s: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(patience_s):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TooSlow("The next piece of the body", patience_s) from None
        except ClientDisconnect:
            raise ClientLeft from None
        yield piece
