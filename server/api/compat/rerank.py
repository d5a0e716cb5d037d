"""Reranking in the shape that Cohere, Jina and vLLM share: ``/v1/rerank``, ``/v2/rerank``, ``/rerank``.

``/rerank`` is also text-embeddings-inference's path, with another shape (`server.api.compat.tei_shapes`). The fields
tell the shapes apart: one has ``documents``, the other ``texts``. A mixture is refused by the name of the field that
does not belong.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Body, Response
from pydantic import Discriminator, Field, PlainValidator, Tag, model_validator

from server.api.compat.tei_shapes import OWN_FIELDS, TextsBody, rank_texts
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, require_items
from server.api.openai.embeddings import EmbeddingUsage, Side, Truncated, truncation
from server.api.record import Record
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, ResponseBody, invalid, shape_error
from server.api.schemas.inert import HINTS
from server.serving.registry import ModelRegistry
from server.settings import Settings
from server.tasks.ranking import Method, Reading

Document = str | dict[str, Any]


def _documents(value: Any) -> list[Document]:
    if not isinstance(value, list) or not value:
        raise shape_error("send a list of strings, or of objects with a 'text'")
    for index, item in enumerate(value):
        text = item.get("text") if isinstance(item, dict) else item
        if not isinstance(text, str):
            raise shape_error(f"item {index} is no string, and no object with a 'text' that is one")
    return value


class RerankBody(RequestBody):
    """A query, and documents to put in order by their relevance to it."""

    inert: ClassVar = {
        **HINTS,
        "activation": (True,),
        "mm_processor_kwargs": ({},),
        "rank_fields": (["text"],),
        "top_n": (0,),
        "use_activation": (True,),
    }

    model: ModelName = Field(
        None,
        description="Id of a reranker, or of an embedding model. Left out: the only reranker, or without one the only "
        "embedding model.",
        examples=["embed"],
    )
    query: str = Field(description="The question, or what is looked for.", examples=["Where is my parcel?"])
    documents: Annotated[
        list[Document], PlainValidator(_documents, json_schema_input_type=list[str | dict[str, Any]])
    ] = Field(
        description="The documents: texts, or objects with a `text`, whose other fields only come back.",
        examples=[["The parcel is late.", "I like tea."]],
    )
    top_n: int | None = Field(None, ge=1, description="Return so many of the best; left out, all.", examples=[3])
    return_documents: bool | None = Field(
        None,
        description="Return the documents too; left out, yes, but for `/v2/rerank`, whose clients do not expect them.",
        examples=[True],
    )
    max_tokens_per_doc: int | None = Field(
        None, ge=1, description="Read only so many tokens of each document (Cohere's).", examples=[512]
    )
    max_chunks_per_doc: int | None = Field(
        None, ge=1, description="Read only so many windows of a long document (Cohere's).", examples=[10]
    )
    truncate_prompt_tokens: Truncated = None
    truncation_side: Side = "right"

    @model_validator(mode="before")
    @classmethod
    def _one_shape(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in OWN_FIELDS:
                if data.get(name) not in (None, False):
                    raise invalid(
                        name, "belongs to text-embeddings-inference's shape, which has no 'documents'; /rerank takes it"
                    )
            return {name: value for name, value in data.items() if name not in OWN_FIELDS}
        return data

    @property
    def texts(self) -> list[str]:
        """The documents' texts."""
        return [each if isinstance(each, str) else each["text"] for each in self.documents]

    @property
    def reading(self) -> Reading:
        """The part of each document that is read."""
        cut = truncation(self.truncate_prompt_tokens, self.truncation_side)
        return Reading(self.max_tokens_per_doc, self.max_chunks_per_doc, cut)


class RerankItem(ResponseBody):
    """One document's relevance."""

    index: int = Field(description="The document's place in the request, from 0.")
    relevance_score: float = Field(
        description="A cross-encoder's probability, 0 to 1; a bi-encoder's cosine, -1 to 1. Only scores of one model "
        "compare."
    )
    document: dict[str, Any] | None = Field(
        None, description="The document, if it was asked for.", examples=[{"text": "I like tea."}]
    )
    windows: int = Field(
        description="The number of windows that the document was read in; the best one's score counts.", examples=[1]
    )


class RerankResponse(ResponseBody):
    """The documents, the most relevant first."""

    id: str
    object: Literal["list"]
    model: str
    method: Method = Field(
        description="`cross-encoder`: a model read the query with each document. `bi-encoder`: an embedding model "
        "stands in, since no reranker is served or the request names this model."
    )
    results: list[RerankItem]
    usage: EmbeddingUsage
    meta: dict[str, Any] = Field(description="The usage as Cohere's clients read it.")


def _shape_of(body: Any) -> str:
    if isinstance(body, dict) and body.get("documents") is None and any(name in body for name in OWN_FIELDS):
        return "@texts"
    return "@texts" if isinstance(body, TextsBody) else "@documents"


EitherBody = Annotated[
    Annotated[RerankBody, Tag("@documents")] | Annotated[TextsBody, Tag("@texts")], Discriminator(_shape_of), Body()
]

router = APIRouter(route_class=JsonRoute, tags=["Reranking"])


@router.post("/v1/rerank", response_model_exclude_unset=True)
async def create_ranking(
    body: RerankBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> RerankResponse:
    """Put documents in order by their relevance to a query, as Jina, vLLM and Cohere's first API do."""
    return await _ranked(body, registry, settings, record, returns=True)


@router.post("/v2/rerank", response_model_exclude_unset=True)
async def create_ranking_v2(
    body: RerankBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> RerankResponse:
    """Put documents in order by their relevance to a query, as Cohere's second API does."""
    return await _ranked(body, registry, settings, record, returns=False)


@router.post("/rerank", response_model=RerankResponse | list[dict[str, Any]], response_model_exclude_unset=True)
async def rerank(
    body: EitherBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> RerankResponse | Response:
    """Put texts in order by their relevance to a query: vLLM's shape, or text-embeddings-inference's with `texts`."""
    if isinstance(body, TextsBody):
        return await rank_texts(body, registry, settings, record)
    return await _ranked(body, registry, settings, record, returns=True)


async def _ranked(
    body: RerankBody, registry: ModelRegistry, settings: Settings, record: Record, *, returns: bool
) -> RerankResponse:
    """Rank.

    Args:
        returns: whether documents come back if the request says nothing.
    """
    require_items(len(body.documents), settings, "documents")
    task = registry.ranker(body.model)
    record.serve(task.card.id)
    done = await task.rank(body.query, body.texts, body.reading)
    record.finish(done.usage, done.timing)
    returns = returns if body.return_documents is None else body.return_documents
    items = [
        RerankItem(
            index=each.index,
            relevance_score=each.score,
            windows=each.windows,
            **_given(body.documents, each.index, returns),
        )
        for each in done.items[: body.top_n]
    ]
    tokens = done.usage.prompt_tokens
    return RerankResponse(
        id=new_id("rerank-"),
        object="list",
        model=body.model or task.card.id,
        method=task.method,
        results=items,
        usage=EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens),
        meta={"tokens": {"input_tokens": tokens, "output_tokens": 0}},
    )


def _given(documents: Sequence[Document], index: int, returns: bool) -> dict[str, Any]:
    """The field with the document, if it is returned."""
    document = documents[index]
    return {"document": {"text": document} if isinstance(document, str) else document} if returns else {}
