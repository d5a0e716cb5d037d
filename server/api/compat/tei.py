"""Text-embeddings-inference's shape of ``/rerank``. Its ``/predict`` is in `server.api.compat.classifiers`."""

from typing import Annotated, Any, ClassVar, Literal

from fastapi.responses import JSONResponse
from pydantic import Field, PlainValidator, model_validator

from server.api.deps import require_items
from server.api.errors import renamed
from server.api.record import Record
from server.api.schemas.base import ModelName, RequestBody, invalid, shape_error
from server.api.schemas.inert import ANYTHING
from server.serving.registry import ModelRegistry
from server.settings import Settings
from server.tasks.fitting import Truncation
from server.tasks.ranking import Reading

OWN_FIELDS = ("texts", "raw_scores", "return_text", "truncate", "truncation_direction")
"""The fields of ``/rerank`` that only this shape has."""
METHOD_HEADER = "x-rerank-method"
"""The header that says how texts were ranked: a list has no place for it."""

Direction = Literal["Left", "Right", "left", "right"]


def cut(truncate: bool, direction: Direction) -> Truncation | None:
    """The truncation that the two fields ask for."""
    return Truncation(keeps_end=direction.lower() == "left", field="truncate") if truncate else None


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise shape_error("send a list of strings")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise shape_error(f"item {index} is not a string")
    return value


class TextsBody(RequestBody):
    """A query, and texts to put in order by their relevance to it."""

    inert: ClassVar = {"options": {"use_cache": ANYTHING, "wait_for_model": ANYTHING}}

    model: ModelName = Field(
        None,
        description="The id of a reranker or of an embedding model. Text-embeddings-inference has no such field.",
        examples=["embed"],
    )
    query: str = Field(description="What is looked for.", examples=["Where is my parcel?"])
    texts: Annotated[list[str], PlainValidator(_texts, json_schema_input_type=list[str])] = Field(
        description="The texts.", examples=[["The parcel is late.", "I like tea."]]
    )
    raw_scores: bool = Field(
        False, description="A cross-encoder's logits, not its probabilities. A bi-encoder has cosines either way."
    )
    return_text: bool = Field(False, description="Return the texts too.", examples=[True])
    truncate: bool = Field(
        False, description="Cut what is longer than the model reads at once; else it is an error.", examples=[True]
    )
    truncation_direction: Direction = Field("Right", description="With `truncate`: the end that is cut off.")

    @model_validator(mode="before")
    @classmethod
    def _one_shape(cls, data: Any) -> Any:
        for name in ("top_n", "return_documents", "max_tokens_per_doc", "max_chunks_per_doc"):
            if isinstance(data, dict) and data.get(name) is not None:
                raise invalid(
                    name, "belongs to the shape with 'documents', not to text-embeddings-inference's with 'texts'"
                )
        return data


async def rank_texts(body: TextsBody, registry: ModelRegistry, settings: Settings, record: Record) -> JSONResponse:
    """Answer ``/rerank``: the texts' places and scores, the most relevant first."""
    require_items(len(body.texts), settings, "texts")
    task = registry.ranker(body.model)
    record.serve(task.card.id)
    with renamed({"documents": "texts"}):
        reading = Reading(windows=0, truncation=cut(body.truncate, body.truncation_direction))
        done = await task.rank(body.query, body.texts, reading)
    record.finish(done.usage, done.timing)
    ranked: list[dict[str, Any]] = [
        {"index": each.index, "score": each.raw if body.raw_scores else each.score} for each in done.items
    ]
    if body.return_text:
        for each in ranked:
            each["text"] = body.texts[each["index"]]
    return JSONResponse(ranked, headers={METHOD_HEADER: task.method})
