"""Classifier routes: text-embeddings-inference's ``/predict`` and vLLM's ``/classify``, on any classifier."""

from typing import Annotated, Any, ClassVar, cast

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field, PlainValidator

from server.api.compat.peer import PeerBody, PeerRoute
from server.api.compat.tei_shapes import Direction, cut
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.errors import renamed
from server.api.openai.embeddings import Side, Truncated, truncation
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, Texts, Usage, as_list, shape_error
from server.api.schemas.inert import ANYTHING, HINTS
from server.tasks.results import Scores

predicting = APIRouter(route_class=PeerRoute, tags=["text-embeddings-inference"])
classifying = APIRouter(route_class=JsonRoute, tags=["vLLM"])


Inputs = str | list[str] | list[list[str]]
"""A text, a pair of texts, or a batch of either: lists of one text or of two."""


def _inputs(value: Any) -> Inputs:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value):
        return value
    if not isinstance(value, list) or not value:
        raise shape_error('must be a text, a pair ["a", "b"], or a batch of texts [["a"], ["b"]] or of pairs')
    for index, item in enumerate(value):
        if not isinstance(item, list) or not all(isinstance(text, str) for text in item):
            raise shape_error(f'item {index} is no list of texts; a batch of texts is [["a"], ["b"]]')
        if not 1 <= len(item) <= 2 or len(item) != len(value[0]):
            raise shape_error(f"item {index} has {len(item)} texts; a batch is of single texts, or of pairs")
    return value


class PredictBody(PeerBody):
    """Texts to score, in text-embeddings-inference's form."""

    inert: ClassVar = {
        "options": {"use_cache": ANYTHING, "wait_for_model": ANYTHING},
        "parameters": {"function_to_apply": (), "top_k": ()},
        "raw_scores": (False,),
    }

    model: ModelName = Field(
        None,
        description="The id of the classifier. Text-embeddings-inference has no such field.",
        examples=["sentiment"],
    )
    truncate: bool = Field(
        False, description="Cut a text that is longer than the model reads at once.", examples=[False]
    )
    truncation_direction: Direction = Field(
        "Right", description="With `truncate`: the end that is cut off.", examples=["Right"]
    )
    inputs: Annotated[Inputs, PlainValidator(_inputs, json_schema_input_type=Inputs)] = Field(
        description="A text, a pair of texts (a list of two), or a batch: a list of lists of one text or of two.",
        examples=["I love it."],
    )

    @property
    def items(self) -> list[list[str]]:
        """The inputs, as lists of one text or of two."""
        if self.is_batch:
            return cast("list[list[str]]", self.inputs)
        return [[self.inputs] if isinstance(self.inputs, str) else cast("list[str]", self.inputs)]

    @property
    def is_batch(self) -> bool:
        """Whether the answer is a list for each input."""
        return isinstance(self.inputs, list) and isinstance(self.inputs[0], list)


class ClassifyBody(RequestBody):
    """Texts to score, in vLLM's form."""

    inert: ClassVar = {**HINTS, "activation": (True,), "use_activation": (True,), "add_special_tokens": (True,)}

    model: ModelName = Field(examples=["sentiment"])
    input: Texts = Field(description="A text or a list of texts.", examples=["I love it."])
    truncate_prompt_tokens: Truncated = None
    truncation_side: Side = "right"


@predicting.post("/predict")
async def predict(body: PredictBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> JSONResponse:
    """Score as text-embeddings-inference does: labels with scores, the likeliest first."""
    items = body.items
    require_items(len(items), settings, "inputs")
    task = registry.scorer(body.model)
    record.serve(task.card.id)
    truncation = cut(body.truncate, body.truncation_direction)
    with renamed({"input": "inputs"}):
        if len(items[0]) == 1:
            done = await task.classify([text for [text] in items], truncation)
        else:
            done = await task.classify_pairs(items, truncation)
    record.finish(done.usage, done.timing)
    predictions = [_sorted(item) for item in done.items]
    return JSONResponse(predictions if body.is_batch else predictions[0])


@classifying.post("/classify")
async def classify(body: ClassifyBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep) -> JSONResponse:
    """Score as vLLM does: the likeliest label, and the probabilities in the model's order of labels."""
    texts = as_list(body.input)
    require_items(len(texts), settings, "input")
    task = registry.scorer(body.model)
    record.serve(task.card.id)
    done = await task.classify(texts, truncation(body.truncate_prompt_tokens, body.truncation_side))
    record.finish(done.usage, done.timing)
    data = [
        {"index": i, "label": item.label, "probs": list(item.scores.values()), "num_classes": len(item.scores)}
        for i, item in enumerate(done.items)
    ]
    usage = Usage.of(done.usage).model_dump()
    return JSONResponse(
        {
            "id": new_id("classify-"),
            "object": "list",
            "created": now(),
            "model": body.model or task.card.id,
            "data": data,
            "usage": usage,
        }
    )


def _sorted(item: Scores) -> list[dict[str, Any]]:
    ranked = sorted(item.scores.items(), key=lambda pair: -pair[1])
    return [{"score": score, "label": label} for label, score in ranked]
