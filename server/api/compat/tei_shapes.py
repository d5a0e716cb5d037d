"""Text-embeddings-inference's shapes of the paths that it shares with other peers: ``/rerank`` and ``/tokenize``.

`server.api.compat.rerank` and `server.api.compat.tokens` have these paths, and tell the shapes apart. The paths of its
own are in `server.api.compat.tei`, ``/predict`` in `server.api.compat.classifiers`.
"""

from typing import Annotated, Any, ClassVar, Literal

from fastapi.responses import JSONResponse
from pydantic import Field, PlainValidator, model_validator
from typing_extensions import TypedDict

from models.registry import ModelCard
from models.tokenizers import Tokenizer
from server.api.deps import require_items
from server.api.errors import renamed
from server.api.record import Record
from server.api.schemas.base import ModelName, RequestBody, Texts, as_list, invalid, shape_error
from server.api.schemas.inert import ANYTHING
from server.errors import InvalidValue
from server.serving.registry import ModelRegistry
from server.settings import Settings
from server.tasks.fitting import Truncation, inner
from server.tasks.model import Model
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


class InputsBody(RequestBody):
    """Texts to cut into tokens."""

    model: ModelName = Field(
        None,
        description="The id of any model; left out, the only generator, or else the only model.",
        examples=["embed"],
    )
    inputs: Texts = Field(description="A text or a list of texts.", examples=["Good morning."])
    add_special_tokens: bool = Field(True, description="Add the tokens that the model expects around a text.")
    prompt_name: str | None = Field(
        None, description="The prompt of an embedding model to put before each text.", examples=["query"]
    )


class TokenPlace(TypedDict):
    """A token and its place in the text, in characters; a special token has no place."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


def places_of(body: InputsBody, model: Model) -> list[list[TokenPlace]]:
    """Answer ``/tokenize``: the tokens of each text.

    Raises:
        InvalidValue: a text is not Unicode, or the model has no such prompt or knows no places of tokens.
    """
    prompt = prompt_of(model.card, body.prompt_name)
    try:
        return [_places(prompt + text, body.add_special_tokens, model.tokenizer) for text in as_list(body.inputs)]
    except ValueError as error:
        raise InvalidValue(f"{error}.", "inputs") from None


def _places(text: str, around: bool, tokenizer: Tokenizer) -> list[TokenPlace]:
    spans = tokenizer.encode_spans(text)
    plain = [
        TokenPlace(id=each.id, text=text[each.begin : each.end], special=False, start=each.begin, stop=each.end)
        for each in spans
    ]
    if not around:
        return plain
    row = tokenizer.encode_row(text)
    begin, end = inner(tokenizer, row, text)
    before, after = (
        [TokenPlace(id=id, text=tokenizer.token(id), special=True, start=None, stop=None) for id in ids]
        for ids in (row[:begin], row[end:])
    )
    return [*before, *plain, *after]


def prompt_of(card: ModelCard, name: str | None) -> str:
    """The text that an embedding model expects before a text of this kind.

    Raises:
        InvalidValue: the model has no prompt of this name.
    """
    prompts = card.embedding.prompts if card.embedding is not None else {}
    if name is None:
        return ""
    if name not in prompts:
        known = f"it has {', '.join(prompts)}" if prompts else "it has none"
        raise InvalidValue(f"'{card.id}' has no prompt of the name '{name[:100]}'; {known}.", "prompt_name")
    return prompts[name]


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
