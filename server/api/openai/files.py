"""``/v1/files``: what clients upload and what batches write, in OpenAI's shapes."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field, ValidationError

from server.api.deps import OwnerDep, SettingsDep, StoreDep
from server.api.errors import from_validation
from server.api.forms import MULTIPART, Form, read_form
from server.api.schemas.base import RequestBody, ResponseBody
from server.errors import ServerError
from server.store.files import BATCH_LIVES_S, StoredFile
from server.store.pages import Page

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such object, or it is another key's."}}


EXPIRES = {"anchor": "created_at", "seconds": 86_400}


class ExpiresAfter(RequestBody):
    """When a file expires."""

    anchor: Literal["created_at"] = Field(description="The time that the seconds begin with.", examples=["created_at"])
    seconds: int = Field(ge=3600, le=2_592_000, description="One hour to 30 days.", examples=[86_400])


class UploadedFile(RequestBody):
    """The fields of a form with a file."""

    purpose: Purpose = Field(description="The use of the file; a batch needs `batch`.", examples=["batch"])
    expires_after: ExpiresAfter | None = Field(None, description="When the file expires.", examples=[EXPIRES])

    @property
    def lives_s(self) -> int | None:
        """The file expires after so long; None: never."""
        if self.expires_after is not None:
            return self.expires_after.seconds
        return BATCH_LIVES_S if self.purpose == "batch" else None


class FileObject(ResponseBody):
    """A file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["uploaded", "processed", "error"] = Field(
        description="`processed`; `error`: its content is gone from the server's disk."
    )
    status_details: str | None

    @classmethod
    def of(cls, file: StoredFile) -> "FileObject":
        """Encode."""
        return cls(
            id=file.id,
            bytes=file.bytes,
            created_at=file.created_at,
            expires_at=file.expires_at,
            filename=file.filename,
            purpose=file.purpose,
            status="error" if file.is_lost else "processed",
            status_details="Its content is no longer on the server's disk." if file.is_lost else None,
        )


class FileList(ResponseBody):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(ResponseBody):
    """A file that is no more."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def form_of(*required: str) -> dict[str, Any]:
    """The description of a form with one file, for ``/openapi.json``."""
    file, *others = required
    properties: dict[str, Any] = {file: {"type": "string", "format": "binary"}}
    properties |= {name: {"type": "string"} for name in others}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"requestBody": {"required": True, "content": {MULTIPART: {"schema": schema}}}}


def checked(form: Form) -> UploadedFile:
    """The fields of a form; ``expires_after[seconds]`` is the way forms nest.

    Raises:
        ServerError: a field is wrong.
    """
    values: dict[str, Any] = {}
    for name, value in form.fields.items():
        outer, found, inner = name.removesuffix("]").partition("[")
        if found:
            inner_value: Any = int(value) if inner == "seconds" and value.isdecimal() and len(value) < 12 else value
            values.setdefault(outer, {})[inner] = inner_value
        else:
            values[name] = value
    try:
        return UploadedFile.model_validate(values)
    except ValidationError as error:
        raise wrong(error, values) from None


def wrong(error: ValidationError, values: Any) -> ServerError:
    """A failed check of values that are no JSON body, as the error of a body."""
    return from_validation([{**each, "loc": ("body", *each["loc"])} for each in error.errors()], values)


router = APIRouter(tags=["OpenAI"])


@router.post("/v1/files", openapi_extra=form_of("file", "purpose"))
async def create_file(request: Request, store: StoreDep, settings: SettingsDep, owner: OwnerDep) -> FileObject:
    """Keep a file. `expires_after[anchor]` and `expires_after[seconds]` say when it expires; batches' after 30 days."""
    async with store.files.receive(await store.files.room(owner)) as incoming:
        form = await read_form(request, "file", incoming.write, settings)
        body = checked(form)
        name = (form.filename or "")[:255] or "file"
        return FileObject.of(await store.files.add(incoming, owner, body.purpose, name, body.lives_s))


@router.get("/v1/files")
async def list_files(
    store: StoreDep,
    owner: OwnerDep,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    after: str | None = None,
    order: Literal["asc", "desc"] = "desc",
    purpose: str | None = None,
) -> FileList:
    """List this key's files."""
    found = await store.files.page(owner, Page(limit, after, order == "asc"), purpose)
    data = [FileObject.of(file) for file in found[:limit]]
    ends = (data[0].id, data[-1].id) if data else (None, None)
    return FileList(data=data, first_id=ends[0], last_id=ends[1], has_more=len(found) > limit)


@router.get("/v1/files/{file_id}", responses=FOUND)
async def get_file(file_id: str, store: StoreDep, owner: OwnerDep) -> FileObject:
    """Describe a file."""
    return FileObject.of(await store.files.find(file_id, owner))


@router.get("/v1/files/{file_id}/content", response_class=Response, responses=FOUND)
async def get_file_content(file_id: str, store: StoreDep, owner: OwnerDep) -> FileResponse:
    """Send what is in a file."""
    _, path = await store.files.content(file_id, owner)
    headers = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
    return FileResponse(path, media_type="application/octet-stream", headers=headers)


@router.delete("/v1/files/{file_id}", responses=FOUND)
async def delete_file(file_id: str, store: StoreDep, owner: OwnerDep) -> FileDeleted:
    """Remove a file. A batch that was made of it goes on."""
    await store.files.delete(file_id, owner)
    return FileDeleted(id=file_id)
