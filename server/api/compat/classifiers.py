"""Classifier routes: text-embeddings-inference's ``/predict`` and vLLM's ``/classify``, on any classifier."""

from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field, PlainValidator

from server.api.compat.peer import PeerBody, PeerRoute
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.openai.embeddings import Side, Truncated, truncation
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, Texts, Usage, as_list, shape_error
from server.api.schemas.inert import ANYTHING, HINTS
from server.tasks.fitting import Truncation
from server.tasks.results import Scores

predicting = APIRouter(route_class=PeerRoute, tags=["text-embeddings-inference"])
classifying = APIRouter(route_class=JsonRoute, tags=["vLLM"])


def _inputs(value: Any) -> str | list[list[str]]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        raise shape_error('is a pair of texts; this model scores single texts: send [["a"], ["b"]]')
    single = isinstance(value, list) and all(
        isinstance(item, list) and len(item) == 1 and isinstance(item[0], str) for item in value
    )
    if not single or not value:
        raise shape_error("must be a text, or a list of lists of one text each")
    texts: list[list[str]] = value
    return texts


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
    truncation_direction: Literal["Left", "Right", "left", "right"] = Field(
        "Right", description="With `truncate`: the end that is cut off.", examples=["Right"]
    )
    inputs: Annotated[str | list[list[str]], PlainValidator(_inputs, json_schema_input_type=str | list[list[str]])] = (
        Field(description="A text, or a batch: a list of lists of one text.", examples=["I love it."])
    )


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
    texts = [body.inputs] if isinstance(body.inputs, str) else [item[0] for item in body.inputs]
    require_items(len(texts), settings, "inputs")
    task = registry.scorer(body.model)
    record.serve(task.card.id)
    cut = Truncation(keeps_end=body.truncation_direction.lower() == "left", field="truncate") if body.truncate else None
    done = await task.classify(texts, cut)
    record.finish(done.usage, done.timing)
    predictions = [_sorted(item) for item in done.items]
    return JSONResponse(predictions[0] if isinstance(body.inputs, str) else predictions)


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
