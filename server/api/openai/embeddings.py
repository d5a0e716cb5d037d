"""``POST /v1/embeddings``."""

import base64

from fastapi import APIRouter

from server.api.deps import RecordDep, RegistryDep, SettingsDep, require_items
from server.api.request import JsonRoute
from server.api.schemas.embeddings import EmbeddingItem, EmbeddingRequest, EmbeddingResponse, EmbeddingUsage
from server.errors import UnsupportedParameter
from server.tasks.heads import Floats

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@router.post("/v1/embeddings")
async def create_embeddings(
    body: EmbeddingRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> EmbeddingResponse:
    """Embed texts."""
    require_items(len(body.inputs), settings, "input")
    task = registry.embedder(body.model)
    record.serve(task.card.id)
    length = task.card.embedding.dimensions if task.card.embedding is not None else 0
    if body.dimensions not in (None, length):
        raise UnsupportedParameter("dimensions", f"'{task.card.id}' was trained for vectors of {length} numbers only.")
    done = await task.embed(body.inputs, body.truncation)
    record.finish(done.usage, done.timing)
    tokens = done.usage.prompt_tokens
    data = [
        EmbeddingItem(object="embedding", index=i, embedding=_encode(vector, body.encoding_format))
        for i, vector in enumerate(done.items)
    ]
    usage = EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens)
    return EmbeddingResponse(object="list", data=data, model=body.model or task.card.id, usage=usage)


def _encode(vector: Floats, encoding: str) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    numbers: list[float] = vector.tolist()
    return numbers
