"""``GET /v1/models``: the models that are served, in OpenAI's shape and with more facts.

``POST /models/load`` and ``/models/unload``, as llama.cpp's router has them.
"""

import asyncio
from typing import Any, ClassVar, Literal

from fastapi import APIRouter
from pydantic import Field

from models.registry import ModelCard
from server.api.deps import RecordDep, RegistryDep
from server.api.request import JsonRoute
from server.api.schemas.base import RequestBody, ResponseBody
from server.engines.kinds import KINDS
from server.errors import RouteNotFound
from server.serving.served_model import ModelStatus
from server.tasks.generation.options import recommendations
from server.tasks.tags import labels_of


class ModelInfo(ResponseBody):
    """One model."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Unix seconds.")
    owned_by: str
    root: str = Field(description="The id of the model behind this name. It differs from `id` for an alias.")
    task: str
    summary: str
    context_length: int = Field(description="The most tokens of one input row.")
    quantization: str
    parameters: int
    license: str
    languages: list[str] = Field(description="Translators: those they read and write. Classifiers: those they read.")
    labels: dict[str, list[str]] = Field(
        description="Classifiers: the labels of each head. Token classifiers: the labels of entities."
    )
    dimensions: int | None = Field(description="Embedding models: the length of a vector.")
    sampling: dict[str, float] = Field(
        description="Generators: how tokens are chosen where a request says nothing; the makers recommend it."
    )
    engine: str = Field(description="The engine that computes the model; empty if the model cannot be served.")
    state: str = Field(
        description="`ready`; `unloaded`, `unloading` and `loading` models answer once they are loaded, "
        "`restarting` ones once they are back, `importing` ones once their file is a model, `failed` ones do not."
    )
    reason: str = Field(description="Why the model does not answer though it should; empty while it answers.")
    memory_bytes: int = Field(description="Memory of its engine process; 0 while it is not loaded.")

    @classmethod
    def of(cls, served: ModelStatus) -> "ModelInfo":
        """Encode. It reads the memory of the engine process, which takes a millisecond: not for the event loop."""
        card = served.card
        return cls(
            id=served.id,
            object="model",
            created=card.created,
            owned_by="hearth",
            root=served.root,
            task=served.task,
            summary=card.summary,
            context_length=card.context_length_tokens,
            quantization=card.quantization,
            parameters=card.parameters,
            license=card.license,
            languages=_languages(card),
            labels=_labels(card),
            sampling=_sampling(served),
            engine=served.engine,
            state=served.state,
            dimensions=card.embedding.dimensions if card.embedding is not None else None,
            reason=served.reason,
            memory_bytes=served.memory_bytes,
        )


def _sampling(served: ModelStatus) -> dict[str, float]:
    section, kind = served.card.generation, KINDS.get(served.engine)
    return recommendations(section.sampling, kind.honours) if section is not None and kind is not None else {}


def _languages(card: ModelCard) -> list[str]:
    if card.translation is not None:
        return list(card.translation.languages)
    return list(dict.fromkeys(language for head in card.heads for language in head.languages))


def _labels(card: ModelCard) -> dict[str, list[str]]:
    found = {head.name: list(head.labels) for head in card.heads}
    return found if card.entities is None else {**found, "entities": list(labels_of(card.entities.tags))}


class ModelList(ResponseBody):
    """All models."""

    object: Literal["list"]
    data: list[ModelInfo]


class ModelNamed(RequestBody):
    """A model to load or unload."""

    inert: ClassVar = {"extra_args": ([],)}

    model: str = Field(description="Its id or an alias.", examples=["assistant"])


class LoadAccepted(ResponseBody):
    """The load or unload has begun."""

    success: bool


router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

BUSY: dict[str, Any] = {
    "description": "The model has work or is being loaded; `retry-after` says when to try again.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
}


@router.get("/v1/models")
async def list_models(registry: RegistryDep, record: RecordDep) -> ModelList:
    """List all models that the key may use, under each of their names. Models that failed are listed too."""
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
    """Begin to load a model before the first request for it. `GET /v1/models` says when it is ready."""
    record.serve(registry.find(body.model).root)
    registry.load(body.model)
    return LoadAccepted(success=True)


@router.post("/models/unload", responses={409: BUSY})
async def unload_model(body: ModelNamed, registry: RegistryDep, record: RecordDep) -> LoadAccepted:
    """Unload a model, which frees its memory. The next request loads it again. While it has work the answer is 409."""
    record.serve(registry.find(body.model).root)
    registry.unload(body.model)
    return LoadAccepted(success=True)
