"""``GET /v1/models``: what is served."""

from fastapi import APIRouter

from server.api.deps import RecordDep, ServicesDep
from server.api.reading import JsonRoute
from server.api.schemas.models import ModelInfo, ModelList

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@router.get("/v1/models")
async def list_models(services: ServicesDep, record: RecordDep) -> ModelList:
    """List all models that the key may use, those that failed too."""
    seen = [served for served in services.served() if record.holder is None or record.holder.allows(served.id)]
    return ModelList(object="list", data=[ModelInfo.of(served) for served in seen])


@router.get("/v1/models/{name}")
async def get_model(name: str, services: ServicesDep, record: RecordDep) -> ModelInfo:
    """Describe one model."""
    served = services.find(name)
    if record.holder is not None:
        record.holder.require(served.id)
    return ModelInfo.of(served)
