"""The dependencies of routes: the registry, the settings, the record of their request."""

import time
import uuid
from typing import Annotated

from fastapi import Depends, Request

from server.api.record import Record, record_of
from server.api.request import JsonRequest
from server.errors import TooLarge
from server.metrics import Metrics
from server.serving.registry import ModelRegistry
from server.settings import Settings
from server.store.store import Store


async def registry_of(request: Request) -> ModelRegistry:
    """The registry, limited to the models that the request's key may use. It has looked for the model that is named."""
    registry: ModelRegistry = request.app.state.registry
    name = request.named_model if isinstance(request, JsonRequest) else request.query_params.get("model")
    if name is not None:
        await registry.look_for(name)
    key_user = (await record_of(request)).key_user
    return registry if key_user is None else registry.only(key_user.allows)


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _owner(request: Request) -> str:
    """Whose objects of the store a request may have: the hash of its key, empty where no keys are needed."""
    key_user = (await record_of(request)).key_user
    return "" if key_user is None else key_user.key.sha256


RegistryDep = Annotated[ModelRegistry, Depends(registry_of)]
SettingsDep = Annotated[Settings, Depends(_settings)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
RecordDep = Annotated[Record, Depends(record_of)]
StoreDep = Annotated[Store, Depends(_store)]
OwnerDep = Annotated[str, Depends(_owner)]


def require_items(count: int, settings: Settings, field: str) -> None:
    """Refuse a list that is too long.

    Raises:
        TooLarge: it has more than ``max_list_items``.
    """
    if count > settings.max_list_items:
        raise TooLarge(f"The list '{field}'", count, settings.max_list_items, "items", field)


def new_id(prefix: str) -> str:
    """A fresh id of an answer."""
    return f"{prefix}{uuid.uuid4().hex}"


def now() -> int:
    """The present time in Unix seconds, as the time of an answer."""
    return int(time.time())
