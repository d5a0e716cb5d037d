"""``/v1/uploads``: files that come in parts, in OpenAI's shapes."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from server.api.deps import OwnerDep, SettingsDep, StoreDep
from server.api.forms import read_form
from server.api.openai.files import FOUND, FileObject, UploadedFile, form_of
from server.api.request import JsonRoute
from server.api.schemas.base import RequestBody, ResponseBody
from server.errors import InvalidValue
from server.store.files import StoredFile
from server.store.uploads import Upload


class UploadRequest(UploadedFile):
    """An upload to begin."""

    bytes: int = Field(ge=1, description="The size of the whole file.", examples=[5_000_000])
    filename: str = Field(min_length=1, max_length=255, description="The file's name.", examples=["lines.jsonl"])
    mime_type: str = Field(max_length=255, description="Accepted and not used.", examples=["application/jsonl"])


class UploadCompletion(RequestBody):
    """The parts of an upload."""

    part_ids: list[str] = Field(
        min_length=1, max_length=10_000, description="The parts in the order of the file.", examples=[["part_1"]]
    )
    md5: str | None = Field(
        None, description="The MD5 of the whole file, in hexadecimal.", examples=["5d41402abc4b2a76b9719d911017c592"]
    )


class UploadObject(ResponseBody):
    """An upload."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None = None

    @classmethod
    def of(cls, upload: Upload, file: StoredFile | None = None) -> "UploadObject":
        """Encode."""
        return cls(
            id=upload.id,
            bytes=upload.bytes,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
            filename=upload.filename,
            purpose=upload.purpose,
            status=upload.state,
            file=None if file is None else FileObject.of(file),
        )


class PartObject(ResponseBody):
    """A part of an upload."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


router = APIRouter(tags=["OpenAI"])
json_router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@json_router.post("/v1/uploads")
async def create_upload(body: UploadRequest, store: StoreDep, owner: OwnerDep) -> UploadObject:
    """Begin an upload in parts. It expires after an hour."""
    made = await store.uploads.create(owner, body.purpose, body.filename, body.bytes, body.lives_s)
    return UploadObject.of(made)


@router.post("/v1/uploads/{upload_id}/parts", openapi_extra=form_of("data"), responses=FOUND)
async def add_upload_part(
    upload_id: str, request: Request, store: StoreDep, settings: SettingsDep, owner: OwnerDep
) -> PartObject:
    """Keep a part of at most 64 MB. Parts may come in any order, and at the same time."""
    async with store.files.receive(await store.uploads.room(upload_id, owner), "The part") as incoming:
        form = await read_form(request, "data", incoming.write, settings)
        if form.fields:
            raise InvalidValue(f"There is no parameter '{next(iter(form.fields))[:80]}'.", next(iter(form.fields))[:80])
        part = await store.uploads.add_part(upload_id, owner, incoming)
    return PartObject(id=part.id, created_at=part.created_at, upload_id=upload_id)


@json_router.post("/v1/uploads/{upload_id}/complete", responses=FOUND)
async def complete_upload(upload_id: str, body: UploadCompletion, store: StoreDep, owner: OwnerDep) -> UploadObject:
    """Make the file of the parts."""
    return UploadObject.of(*await store.uploads.complete(upload_id, owner, body.part_ids, body.md5))


@router.post("/v1/uploads/{upload_id}/cancel", responses=FOUND)
async def cancel_upload(upload_id: str, store: StoreDep, owner: OwnerDep) -> UploadObject:
    """End an upload and remove its parts."""
    return UploadObject.of(await store.uploads.cancel(upload_id, owner))
