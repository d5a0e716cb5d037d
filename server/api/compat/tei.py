"""Text-embeddings-inference's own paths: vectors, similarity, ids to text, and what is served."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Request, Response
from pydantic import Field, PlainValidator
from pydantic_core import to_json

from models.cards import ModelCard
from server.api.compat.peer import PeerBody, PeerRoute
from server.api.compat.tei_shapes import Direction, cut, prompt_of
from server.api.deps import RecordDep, RegistryDep, SettingsDep, require_items
from server.api.errors import renamed
from server.api.record import Record
from server.api.schemas.base import ModelName, Prompts, RequestBody, shape_error, token_ids
from server.api.schemas.inert import ANYTHING, Table
from server.errors import InvalidValue, ModelNotFound, UnsupportedParameter
from server.serving.registry import ModelRegistry
from server.settings import Settings
from server.tasks.encoding import Embedding, Floats
from server.tasks.offload import SMALL_PRODUCTS, offload
from server.tasks.results import Done

NUMBER_COST = 100
"""The cost of writing one number as JSON, in multiplications."""

router = APIRouter(route_class=PeerRoute, tags=["text-embeddings-inference"])

WAITING: Table = {"options": {"use_cache": ANYTHING, "wait_for_model": ANYTHING}, "parameters": ({},)}
"""Fields of the hub's clients that ask for nothing here."""


class EmbedAllBody(PeerBody):
    """Texts to embed."""

    inert: ClassVar = WAITING

    model: ModelName = Field(
        None,
        description="The id of an embedding model. Text-embeddings-inference has no such field.",
        examples=["embed"],
    )
    inputs: Prompts = Field(description="A text, its token ids, or a list of either.", examples=["Good morning."])
    truncate: bool = Field(
        False, description="Cut what is longer than the model reads; else it is an error.", examples=[False]
    )
    truncation_direction: Direction = Field("Right", description="With `truncate`: the end that is cut off.")
    prompt_name: str | None = Field(
        None,
        description="The prompt to put before each text, by its name in the model's repository.",
        examples=["query"],
    )


class EmbedBody(EmbedAllBody):
    """Texts to embed as one vector each."""

    inert: ClassVar = {**WAITING, "encoding_format": ("float",)}

    normalize: bool = Field(True, description="Scale vectors to length 1.", examples=[True])
    dimensions: int | None = Field(None, ge=1, description="Only the model's own length is accepted.", examples=[384])


class SimilarityInputs(RequestBody):
    """A sentence and others."""

    source_sentence: str = Field(description="The sentence.", examples=["Where is my parcel?"])
    sentences: list[str] = Field(min_length=1, description="The others.", examples=[["My package is late."]])


class SimilarityParameters(RequestBody):
    """How they are read."""

    truncate: bool = Field(False, description="Cut what is longer than the model reads.", examples=[False])
    truncation_direction: Direction = Field("Right", description="With `truncate`: the end that is cut off.")
    prompt_name: str | None = Field(None, description="The prompt to put before each sentence.", examples=["query"])


class SimilarityBody(PeerBody):
    """Sentences to compare."""

    inert: ClassVar = {"options": WAITING["options"]}

    model: ModelName = Field(None, description="The id of an embedding model.", examples=["embed"])
    inputs: SimilarityInputs = Field(description="The sentence, and those it is compared with.")
    parameters: SimilarityParameters | None = Field(None, description="How the sentences are read.")


def _ids(value: Any) -> list[list[int]]:
    rows = [value] if isinstance(value, list) and value and isinstance(value[0], int) else value
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise shape_error("send token ids, or a list of lists of them")
    return [token_ids(row, f"item {i}, id") for i, row in enumerate(rows)]


class DecodeBody(PeerBody):
    """Token ids to turn into texts."""

    inert: ClassVar = {"skip_special_tokens": (True,)}

    model: ModelName = Field(
        None, description="The id of a model; left out, the one that `/info` describes.", examples=["embed"]
    )
    ids: Annotated[list[list[int]], PlainValidator(_ids, json_schema_input_type=list[int] | list[list[int]])] = Field(
        description="Token ids, or a list of lists of them.", examples=[[101, 7592, 102]]
    )


@router.post("/embed", response_model=list[list[float]])
async def embed(body: EmbedBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> Response:
    """Embed texts: one vector each."""
    task = registry.embedder(body.model)
    length = task.card.embedding.dimensions if task.card.embedding is not None else 0
    if body.dimensions not in (None, length):
        raise UnsupportedParameter("dimensions", f"'{task.card.id}' was trained for vectors of {length} numbers only.")
    inputs = _inputs(body, task, settings, record)
    with renamed({"input": "inputs"}):
        done = await task.embed(inputs, cut(body.truncate, body.truncation_direction), body.normalize)
    return await _written(done, record)


@router.post("/embed_all", response_model=list[list[list[float]]])
async def embed_all(body: EmbedAllBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> Response:
    """Embed texts: a vector for each token, those that the model adds included."""
    task = registry.embedder(body.model)
    inputs = _inputs(body, task, settings, record)
    with renamed({"input": "inputs"}):
        done = await task.embed_tokens(inputs, cut(body.truncate, body.truncation_direction))
    return await _written(done, record)


@router.post("/embed_sparse", response_model=None)
async def embed_sparse(body: EmbedAllBody) -> Response:
    """Refuse: no model here makes sparse vectors (SPLADE)."""
    raise InvalidValue("No model here makes sparse vectors: 'inputs' can be embedded at /embed.", "inputs")


@router.post("/similarity", response_model=list[float])
async def similarity(
    body: SimilarityBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> list[float]:
    """Compare a sentence with others: the cosines of their vectors."""
    require_items(len(body.inputs.sentences), settings, "inputs")
    task, asked = registry.embedder(body.model), body.parameters or SimilarityParameters.model_validate({})
    record.serve(task.card.id)
    prompt = prompt_of(task.card, asked.prompt_name)
    texts = [prompt + text for text in (body.inputs.source_sentence, *body.inputs.sentences)]
    with renamed({"input": "inputs"}):
        done = await task.embed(texts, cut(asked.truncate, asked.truncation_direction), normalize=True)
    record.finish(done.usage, done.timing)
    first, *others = done.items
    return [min(1.0, max(-1.0, float(first @ other))) for other in others]


@router.post("/decode")
async def decode(body: DecodeBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> list[str]:
    """Turn token ids into texts, without special tokens."""
    require_items(len(body.ids), settings, "ids")
    model = registry.model(_served(registry, body.model).id)
    record.serve(model.id)
    model.require_ids(body.ids, "ids")
    return await offload(lambda: [model.tokenizer.decode(row) for row in body.ids], sum(map(len, body.ids)))


@router.get("/info")
async def info(
    request: Request, registry: RegistryDep, settings: SettingsDep, record: RecordDep, model: str | None = None
) -> dict[str, Any]:
    """Describe the model that answers: the one that is named, else that of `/rerank`, `/embed` or `/predict`."""
    card = _served(registry, model)
    if record.key_user is not None:
        record.key_user.require(card.id)
    return {
        "model_id": card.id,
        "model_sha": (card.origin.revision or None) if card.origin is not None else None,
        "model_dtype": card.quantization,
        "model_type": _kind(card),
        "max_concurrent_requests": settings.queue_rows,
        "max_input_length": card.context_length_tokens,
        "max_batch_tokens": settings.queue_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": settings.max_list_items,
        "auto_truncate": False,
        "tokenization_workers": 1,
        "version": request.app.version,
        "sha": None,
        "docker_label": None,
    }


def _served(registry: ModelRegistry, name: str | None) -> ModelCard:
    """The card of the model that this server's peers would have as their only one.

    Raises:
        ModelNotFound: no model has this name, or none ranks, embeds or classifies.
    """
    if name is not None:
        return registry.model(name).card
    for find in (registry.ranker, registry.embedder, registry.scorer):
        try:
            return find(None).card
        except ModelNotFound:
            continue
    return registry.embedder(None).card


def _kind(card: ModelCard) -> Mapping[str, Any]:
    if card.embedding is not None:
        return {"embedding": {"pooling": card.embedding.pooling}}
    labels = {str(i): label for i, label in enumerate(card.heads[0].labels)} if card.heads else {}
    about = {"id2label": labels, "label2id": {label: int(i) for i, label in labels.items()}}
    return {"reranker" if card.task == "rerank" else "classifier": about}


def _inputs(body: EmbedAllBody, task: Embedding, settings: Settings, record: Record) -> list[str] | list[list[int]]:
    """The inputs with their prompt. The model serves the request from now on."""
    given: Any = body.inputs
    if isinstance(given, str) or isinstance(given[0], int):
        given = [given]
    require_items(len(given), settings, "inputs")
    record.serve(task.card.id)
    prompt = prompt_of(task.card, body.prompt_name)
    if not prompt:
        return given  # type: ignore[no-any-return]
    if not isinstance(given[0], str):
        raise InvalidValue("A prompt goes before texts, not before token ids.", "prompt_name")
    return [prompt + text for text in given]


async def _written(done: Done[Floats], record: Record) -> Response:
    record.finish(done.usage, done.timing)
    numbers = NUMBER_COST * sum(item.size for item in done.items)
    raw = await offload(lambda: to_json([item.tolist() for item in done.items]), numbers, SMALL_PRODUCTS)
    return Response(raw, media_type="application/json")
