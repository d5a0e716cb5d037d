"""``GET /v1/models``: what is served."""

from fastapi import APIRouter

from server.api.deps import ServicesDep
from server.api.reading import JsonRoute
from server.api.schemas.models import ModelInfo, ModelList

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@router.get("/v1/models")
async def list_models(services: ServicesDep) -> ModelList:
    """List all models, those that failed too."""
    return ModelList(object="list", data=[ModelInfo.of(served) for served in services.served()])


@router.get("/v1/models/{name}")
async def get_model(name: str, services: ServicesDep) -> ModelInfo:
    """Describe one model."""
    return ModelInfo.of(services.find(name))
