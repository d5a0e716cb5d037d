"""Entities in texts by a token classifier: our own ``POST /v1/entities``, and the shape of Hugging Face's clients."""

from typing import Any, ClassVar, Literal

from fastapi import APIRouter, Response
from pydantic import Field
from pydantic_core import to_json

from server.api.compat.peer import PeerBody, PeerRoute
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.errors import renamed
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, ResponseBody, Texts, Usage, as_list
from server.api.schemas.inert import ANYTHING, HINTS
from server.errors import UnsupportedParameter
from server.tasks.entities import Finding, Found
from server.tasks.offload import offload, size_of
from server.tasks.tags import OUTSIDE, Aggregation, Entity, redacted

router = APIRouter(route_class=JsonRoute, tags=["Hearth"])
pipeline = APIRouter(route_class=PeerRoute, tags=["Hugging Face"])


class EntitiesRequest(RequestBody):
    """Texts to find entities in."""

    inert: ClassVar = HINTS

    model: ModelName = Field(None, description="Id of a token classifier; left out, the only one.", examples=["ner"])
    input: Texts = Field(description="A text or a list of texts, of any length.", examples=["Anna lives in Bern."])
    labels: list[str] | None = Field(
        None, min_length=1, description="Only entities with these labels; left out, all.", examples=[["PER"]]
    )
    min_score: float = Field(0.0, ge=0, le=1, description="Only entities with at least this score.", examples=[0.5])
    aggregation: Aggregation = Field(
        "first",
        description="How tags of tokens become entities. `first`, `average`, `max`: a word has the tag of its first "
        "token, of its tokens' mean, or of its surest token, so entities are whole words. `simple`: tokens with the "
        "same tag, also parts of words. `none`: every token that has a tag.",
        examples=["first"],
    )
    redact: bool = Field(False, description="Also return each text with its entities replaced.", examples=[True])
    replacement: str = Field(
        "[{label}]", max_length=100, description="With `redact`: what stands for an entity; `{label}` is its label."
    )

    @property
    def finding(self) -> Finding:
        """The entities that are looked for, and how they are put together."""
        labels = None if self.labels is None else frozenset(self.labels)
        return Finding(self.aggregation, labels, self.min_score)


class EntityItem(ResponseBody):
    """One entity."""

    label: str
    text: str = Field(description="The part of the text.", examples=["Bern"])
    start: int = Field(description="Its place in the text, in characters (Unicode code points), from 0.")
    end: int = Field(description="The place behind its last character.")
    score: float = Field(description="The mean probability of its words' tags.")


class EntitiesItem(ResponseBody):
    """The entities of one text, in order; none overlap."""

    object: Literal["entities"]
    index: int
    entities: list[EntityItem]
    redacted: str | None = Field(None, description="With `redact`: the text with its entities replaced.")
    windows: int = Field(description="The number of windows that the text was read in.", examples=[1])


class EntitiesResponse(ResponseBody):
    """The entities, in the order of the inputs."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[EntitiesItem]
    usage: Usage


@router.post("/v1/entities", response_model=EntitiesResponse)
async def create_entities(
    body: EntitiesRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> Response:
    """Find names, places, personal data: whatever the model was trained to tag."""
    texts = as_list(body.input)
    require_items(len(texts), settings, "input")
    task = registry.tagger(body.model)
    record.serve(task.card.id)
    done = await task.find(texts, body.finding)
    record.finish(done.usage, done.timing)

    def written() -> bytes:
        made = EntitiesResponse(
            id=new_id("entities-"),
            object="list",
            created=now(),
            model=body.model or task.card.id,
            data=[
                _item(body, index, text, found)
                for index, (text, found) in enumerate(zip(texts, done.items, strict=True))
            ],
            usage=Usage.of(done.usage),
        )
        return made.model_dump_json(exclude_unset=True).encode()

    return Response(await offload(written, size_of(texts)), media_type="application/json")


def _item(body: EntitiesRequest, index: int, text: str, found: Found) -> EntitiesItem:
    """The entities of one text, encoded."""
    items = [
        EntityItem(label=each.label, text=text[each.begin : each.end], start=each.begin, end=each.end, score=each.score)
        for each in found.entities
    ]
    more: dict[str, Any] = {"redacted": redacted(text, found.entities, body.replacement)} if body.redact else {}
    return EntitiesItem(object="entities", index=index, entities=items, windows=found.windows, **more)


class PipelineParameters(RequestBody):
    """How entities are put together."""

    aggregation_strategy: Aggregation = Field("simple", description="As `aggregation` of `/v1/entities`.")
    ignore_labels: list[str] = Field([OUTSIDE], description="Labels that are left out; `O` is one of them.")
    stride: int | None = Field(None, ge=0, description="The tokens that windows of a long text share.", examples=[32])


class PipelineBody(PeerBody):
    """Texts to find entities in, in the form of Hugging Face's clients."""

    inert: ClassVar = {"options": {"use_cache": ANYTHING, "wait_for_model": ANYTHING}}

    model: ModelName = Field(None, description="Id of a token classifier; left out, the only one.", examples=["ner"])
    inputs: Texts = Field(description="A text or a list of texts.", examples=["Anna lives in Bern."])
    parameters: PipelineParameters | None = Field(None, description="How tags become entities.")


@pipeline.post("/pipeline/token-classification", response_model=list[dict[str, Any]] | list[list[dict[str, Any]]])
async def token_classification(
    body: PipelineBody, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> Response:
    """Find entities, as the pipeline of transformers writes them."""
    texts = as_list(body.inputs)
    require_items(len(texts), settings, "inputs")
    asked = body.parameters or PipelineParameters.model_validate({})
    task = registry.tagger(body.model)
    record.serve(task.card.id)
    if OUTSIDE not in asked.ignore_labels:
        raise UnsupportedParameter(
            "parameters.ignore_labels", f"what has no tag is left out, so it has to name {OUTSIDE!r}."
        )
    with renamed({"input": "inputs", "overlap_tokens": "parameters.stride"}):
        done = await task.find(texts, Finding(asked.aggregation_strategy, overlap_tokens=asked.stride))
    record.finish(done.usage, done.timing)
    ignored = frozenset(asked.ignore_labels)

    def written() -> bytes:
        found = [
            [_element(text, each) for each in one.entities if not ignored & {each.label, each.tag}]
            for text, one in zip(texts, done.items, strict=True)
        ]
        return to_json(found[0] if isinstance(body.inputs, str) else found)

    return Response(await offload(written, size_of(texts)), media_type="application/json")


def _element(text: str, entity: Entity) -> dict[str, Any]:
    """One entity. Without aggregation it is a token, and has its tag and its place among the tokens, from 1."""
    what = {"entity": entity.tag, "index": entity.token + 1} if entity.tag else {"entity_group": entity.label}
    place = {"start": entity.begin, "end": entity.end}
    return {**what, "score": entity.score, "word": text[entity.begin : entity.end], **place}
