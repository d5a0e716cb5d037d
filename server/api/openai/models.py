"""``GET /v1/models``: what is served. ``POST /models/load`` and ``/models/unload``, as llama.cpp's router has them."""

import asyncio
from typing import Any

from fastapi import APIRouter

from server.api.deps import RecordDep, RegistryDep
from server.api.request import JsonRoute
from server.api.schemas.models import LoadAccepted, ModelInfo, ModelList, ModelNamed
from server.errors import RouteNotFound

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

BUSY: dict[str, Any] = {
    "description": "It has work, or is being loaded; `retry-after` says when to come back.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
}


@router.get("/v1/models")
async def list_models(registry: RegistryDep, record: RecordDep) -> ModelList:
    """List all models that the key may use under each of their names, those that failed too."""
    await registry.refresh()
    seen = [served for served in registry.listed() if record.key_user is None or record.key_user.allows(served.root)]
    data = await asyncio.to_thread(lambda: [ModelInfo.of(served) for served in seen])
    return ModelList(object="list", data=data)


@router.get("/v1/models/{name:path}")
async def get_model(name: str, registry: RegistryDep, record: RecordDep) -> ModelInfo:
    """Describe one model. Slashes in its id may be sent as they are, or percent-encoded."""
    if not name:
        raise RouteNotFound("/v1/models/")
    await registry.refresh()
    served = registry.find(name)
    if record.key_user is not None:
        record.key_user.require(served.root)
    return await asyncio.to_thread(ModelInfo.of, served)


@router.post("/models/load")
async def load_model(body: ModelNamed, registry: RegistryDep, record: RecordDep) -> LoadAccepted:
    """Begin to load a model, before anybody asks it for anything; `GET /v1/models` says when it is ready."""
    record.serve(registry.find(body.model).root)
    registry.load(body.model)
    return LoadAccepted(success=True)


@router.post("/models/unload", responses={409: BUSY})
async def unload_model(body: ModelNamed, registry: RegistryDep, record: RecordDep) -> LoadAccepted:
    """Have a model give its memory back; the next request loads it again. While it has work this is a 409."""
    record.serve(registry.find(body.model).root)
    registry.unload(body.model)
    return LoadAccepted(success=True)
