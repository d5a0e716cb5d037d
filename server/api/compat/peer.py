"""The base of routes that follow other servers: they take forms as well as JSON, fields in the query string, and files.

A translated file is kept in memory, for a while and for the key that sent it.
"""

import asyncio
import json
import math
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, quote

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers

from server.api.record import Record
from server.api.request import JsonRequest, JsonRoute
from server.api.schemas.base import RequestBody
from server.errors import BadRequest, Overloaded, RouteNotFound, UnsupportedMediaType
from server.tasks import documents
from server.tasks.offload import SMALL_BYTES, offload

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class PeerBody(RequestBody):
    """A body that may come as a form, where every value is text: numbers and booleans are read from text."""

    model_config = ConfigDict(strict=False)


class Upload(BaseModel):
    """A file in a form; ``FormRequest.files`` has its bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file_name: str = Field(description="Its name; the ending says its format.", examples=["letter.docx"])


class FormRequest(JsonRequest):
    """A request whose body is JSON or a form. A form is read as the JSON object with the same fields.

    Fields in the query string count as fields of the form; a request that has them may have no body.
    """

    files: Mapping[str, bytes] = {}
    """The content of each file, by the name of its field."""

    async def body(self) -> bytes:
        """Read the body; a field that occurs several times becomes a list."""
        is_read = hasattr(self, "_body")
        raw = await super().body()
        if is_read:
            return raw
        kind = self._kind()
        if kind == MULTIPART:
            told = self.headers.get("content-type", "")
            query = self.url.query
            self._body, self.files = await offload(lambda: _multipart(query, told, raw), len(raw), SMALL_BYTES)
            self._headers = Headers({**self.headers, "content-type": "application/json"})
            return self._body
        if kind == FORM or not (kind or raw):
            try:
                query = self.url.query
                self._body = await offload(lambda: _as_json(query, raw), len(raw), SMALL_BYTES)
            except ValueError:
                raise BadRequest("The form is malformed.") from None
            self._headers = Headers({**self.headers, "content-type": "application/json"})  # FastAPI looks there
        elif not kind:
            raise UnsupportedMediaType(kind, f"application/json or {FORM}")
        return self._body

    def _kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _require_json(self) -> None:
        if self._kind() not in ("", FORM, MULTIPART):
            super()._require_json()


def _as_json(query: str, form: bytes) -> bytes:
    """The fields of a query string and a form as one JSON object.

    Raises:
        ValueError: it is no form, or has more than 10,000 fields.
    """
    fields = parse_qs(query, keep_blank_values=True, max_num_fields=10_000)
    fields |= parse_qs(form.decode("utf-8"), keep_blank_values=True, max_num_fields=10_000)
    return json.dumps({name: values if len(values) > 1 else values[0] for name, values in fields.items()}).encode()


MOST_PARTS = 1_000
MOST_HEADER_BYTES = 8_000


def _multipart(query: str, content_type: str, raw: bytes) -> tuple[bytes, dict[str, bytes]]:
    """The fields of a query string and a form with files, as one JSON object, and the files.

    Raises:
        BadRequest: it is no such form.
    """
    kind = Message()
    kind["content-type"] = content_type
    boundary = str(kind.get_param("boundary", "")).encode("latin-1", "replace")
    _, *parts = (b"\r\n" + raw).split(b"\r\n--" + boundary, MOST_PARTS + 1)
    if not boundary or not parts or not parts[-1].startswith(b"--") or len(parts) > MOST_PARTS:
        raise BadRequest("The form is malformed: its parts do not end as its header says.")
    try:
        fields: dict[str, list[Any]] = dict(parse_qs(query, keep_blank_values=True, max_num_fields=10_000))
    except ValueError:
        raise BadRequest("The form is malformed: the query string has too many fields.") from None
    files: dict[str, bytes] = {}
    for part in parts[:-1]:
        head, found, content = part.partition(b"\r\n\r\n")
        name, file_name = _disposition(head) if found and len(head) <= MOST_HEADER_BYTES else ("", None)
        if not name or name in files:
            raise BadRequest("The form is malformed: a part has no name, or a name is there twice.")
        if file_name is not None:
            files[name] = content
            fields[name] = [{"file_name": file_name}]
            continue
        try:
            fields.setdefault(name, []).append(content.decode("utf-8"))
        except UnicodeDecodeError:
            raise BadRequest(f"The form's field '{name[:80]}' is not UTF-8.") from None
    made = {name: values if len(values) > 1 else values[0] for name, values in fields.items()}
    return json.dumps(made).encode(), files


def _disposition(head: bytes) -> tuple[str, str | None]:
    """The name of a part, and the name of its file where it is one."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        field, _, value = line.partition(":")
        if field.strip().lower() == "content-disposition":
            said = Message()
            said["content-disposition"] = value.strip()
            name = said.get_param("name", "", header="content-disposition")
            return name if isinstance(name, str) else "", said.get_filename()
    return "", None


KEPT_S = 600.0
"""A translated file is kept for so long."""
KEPT_BYTES = 64_000_000
"""Of all translated files together; where there is no room, new ones are refused until old ones are gone."""


@dataclass(slots=True)
class Kept:
    """A file that is translated, or will be."""

    name: str
    owner: str
    """The hash of the key that sent it; empty where no keys are needed."""
    until_s: float
    size: int
    """The room that it takes."""
    content: bytes | None = None
    error: str = ""
    """Why it could not be translated."""
    characters: int = 0
    """Of the texts in it."""
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """DeepL's second name of a document."""


class KeptFiles:
    """Translated files until they are fetched. Used only on the event loop; nothing is written to a disk."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._files: dict[str, Kept] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str, owner: str, size: int) -> str:
        """Have room for a file of about so many bytes. Returns its id, which cannot be guessed.

        Raises:
            Overloaded: there is no room now.
        """
        self.sweep()
        used = sum(each.size for each in self._files.values())
        if self._files and used + size > KEPT_BYTES:
            wait_s = min(each.until_s for each in self._files.values()) - self._clock()
            raise Overloaded(min(max(1.0, wait_s), KEPT_S))
        id = secrets.token_urlsafe(24)
        self._files[id] = Kept(name, owner, self._clock() + KEPT_S, size)
        return id

    @contextmanager
    def room(self, name: str, owner: str, size: int) -> Iterator[str]:
        """Keep room for a file while it is translated, and give the room back if that fails.

        Raises:
            Overloaded: there is no room now.
        """
        id = self.add(name, owner, size)
        self._files[id].until_s = math.inf
        try:
            yield id
        except BaseException:
            self.drop(id)
            raise
        asyncio.get_running_loop().call_later(KEPT_S + 1, self.sweep)

    def fill(self, id: str, content: bytes) -> None:
        """Put the translated file into its room. It is kept from now on."""
        kept = self._files[id]
        kept.content, kept.size, kept.until_s = content, len(content), self._clock() + KEPT_S

    def find(self, id: str, owner: str, path: str) -> Kept:
        """The file of this id.

        Raises:
            RouteNotFound: there is none, or it is another key's.
        """
        self.sweep()
        kept = self._files.get(id)
        if kept is None or kept.owner != owner:
            raise RouteNotFound(path)
        return kept

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that goes on when its client has left, for as long as a file is kept at most."""
        task = asyncio.create_task(_within(KEPT_S, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        asyncio.get_running_loop().call_later(KEPT_S + 1, self.sweep)

    def drop(self, id: str) -> None:
        """Forget a file."""
        self._files.pop(id, None)

    def sweep(self) -> None:
        """Forget what was kept long enough."""
        now_s = self._clock()
        self._files = {id: each for id, each in self._files.items() if each.until_s > now_s}


def form_with_file(*required: str) -> dict[str, Any]:
    """The description of a form with a file in the API's description, beside its fields."""
    properties: dict[str, Any] = {"file": {"type": "string", "format": "binary"}}
    properties |= {name: {"type": "string"} for name in required}
    schema = {"type": "object", "properties": properties, "required": ["file", *required]}
    return {"requestBody": {"content": {MULTIPART: {"schema": schema}}}}


async def read_upload(request: Request, upload: Upload, field: str = "file") -> documents.Document:
    """The file in a form, taken apart.

    Raises:
        BadRequest: there is none, or it cannot be read.
        TooLarge: it unpacks to too much.
    """
    raw = request.files.get(field) if isinstance(request, FormRequest) else None
    if raw is None:
        raise BadRequest(f"'{field}' is no file: send multipart/form-data.", field)
    return await offload(lambda: documents.read(upload.file_name, raw), documents.effort(raw))


async def _within(limit_s: float, work: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await work


def owner_of(record: Record) -> str:
    """Whose files a request may have."""
    return "" if record.key_user is None else record.key_user.key.sha256


def answer_file(kept: Kept) -> Response:
    """A translated file as an answer: to be saved, and never shown as a page of this server."""
    name = quote(kept.name, safe="")
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}", "x-content-type-options": "nosniff"}
    return Response(kept.content, media_type="application/octet-stream", headers=headers)


class PeerRoute(JsonRoute):
    """A route of another server; ``peers`` has the shape of its errors."""

    request_class = FormRequest
