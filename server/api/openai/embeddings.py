"""``POST /v1/embeddings``, in OpenAI's shapes."""

import base64
from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter
from pydantic import Field

from server.api.deps import RecordDep, RegistryDep, SettingsDep, require_items
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, Prompts, RequestBody, ResponseBody
from server.api.schemas.inert import HINTS, VECTORS
from server.errors import UnsupportedParameter
from server.tasks.encoding import Floats
from server.tasks.fitting import Truncation

Truncated = Annotated[
    int | None,
    Field(
        ge=-1,
        le=2**31 - 1,
        examples=[256],
        description="Read at most so many tokens of each input, with those that the model adds, and cut off the rest. "
        "-1 means as many as the model reads (an extension).",
    ),
]
Side = Annotated[
    Literal["left", "right"],
    Field(description="With `truncate_prompt_tokens`: the end that is cut off (an extension).", examples=["right"]),
]


def truncation(tokens: int | None, side: str) -> Truncation | None:
    """The truncation that vLLM's two fields ask for."""
    return None if tokens is None else Truncation(None if tokens == -1 else tokens, side == "left")


class EmbeddingRequest(RequestBody):
    """Texts to embed."""

    inert: ClassVar = {**HINTS, **VECTORS}

    model: ModelName = Field(examples=["embed"])
    input: Prompts = Field(description="A text, its token ids, or a list of either.", examples=["Good morning."])
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="Numbers, or their little-endian float32 bytes in base64.", examples=["float"]
    )
    dimensions: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="The length of a vector. Only the model's own length is accepted.",
        examples=[384],
    )
    truncate_prompt_tokens: Truncated = None
    truncation_side: Side = "right"
    user: str | None = Field(None, description="Accepted and not used.", examples=["u-1"])

    @property
    def truncation(self) -> Truncation | None:
        """The part of each input that is read; None means all of it."""
        return truncation(self.truncate_prompt_tokens, self.truncation_side)

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        """The inputs, as texts or as ids."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], int):
            return [self.input]  # a list that begins with an id is one of ids
        return self.input  # the same for texts and lists


class EmbeddingItem(ResponseBody):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(ResponseBody):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(ResponseBody):
    """The vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingUsage


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
