"""``POST /v1/translations``."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Response

from server.api import sse
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.base import Usage
from server.api.schemas.translations import (
    TranslationChunk,
    TranslationItem,
    TranslationPart,
    TranslationRequest,
    TranslationResponse,
)
from server.tasks.translation.progress import TranslationProgress

router = APIRouter(route_class=JsonRoute, tags=["Hearth"])


@router.post("/v1/translations", response_model=TranslationResponse)
async def create_translations(
    body: TranslationRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> TranslationResponse | Response:
    """Translate texts."""
    require_items(len(body.texts), settings, "input")
    source = None if body.source == "auto" else body.source
    if body.model is None:
        task = await registry.translators().pick(body.texts, source, body.target)
    else:
        task = registry.translator(body.model)
    record.serve(*task.models)
    if body.stream:
        run = await task.begin(body.texts, source, body.target, body.options)
        stream = _stream(run, body, body.model or task.name, record)
        return await sse.begin(stream, record, settings.request_timeout_s)
    done = await task.translate(body.texts, source, body.target, body.options)
    record.finish_translation(body.texts, done)
    return TranslationResponse(
        id=new_id("trans-"),
        object="list",
        created=now(),
        model=body.model or task.name,
        data=[TranslationItem.of(i, item) for i, item in enumerate(done.items)],
        usage=Usage.of(done.usage),
    )


async def _stream(
    run: TranslationProgress, body: TranslationRequest, model: str, record: Record
) -> AsyncIterator[bytes]:
    """Parts as they become ready; at the end the usage and all items, with confidence and flags of the whole texts."""
    made, created = new_id("trans-"), now()

    def chunk(data: list[TranslationPart | TranslationItem]) -> TranslationChunk:
        return TranslationChunk(id=made, object="translation.chunk", created=created, model=model, data=data)

    try:
        async for part in run:
            piece = TranslationPart(object="translation.part", index=part.index, text=part.text)
            yield sse.encode(chunk([piece]))
        done = run.done()
        record.finish_translation(body.texts, done)
        last = chunk([TranslationItem.of(i, item) for i, item in enumerate(done.items)])
        last.usage = Usage.of(done.usage)
        yield sse.encode(last)
    finally:
        run.cancel()
