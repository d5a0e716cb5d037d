"""``/v1/moderations``: OpenAI's shapes and category names."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator

from server.api.schemas.base import ModelName, RequestBody, ResponseBody, refuse, screen, shape_error
from server.api.schemas.inert import HINTS, PART

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""All that clients expect to find. One that the model was not trained on is never flagged, has a score of 0
and no input type that the score would apply to."""


def _inputs(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise shape_error("send a string, a list of strings, or a list of text parts")
    if all(isinstance(item, str) for item in value):
        return value
    texts = []
    for i, item in enumerate(value):
        if not isinstance(item, dict):
            raise shape_error(f"item {i} is neither like the others nor a text part")
        if item.get("type") == "image_url":
            refuse(str(i), "images are not read here.")
        if item.get("type") != "text" or not isinstance(item.get("text"), str):
            raise shape_error(f"item {i} is not a text part")
        screen(item, ("type", "text"), PART, where=f"{i}.")
        texts.append(item["text"])
    return ["\n".join(texts)]  # parts are one input, which gets one result


class ModerationRequest(RequestBody):
    """Texts to judge."""

    inert: ClassVar = HINTS

    model: ModelName = Field(examples=["moderation"])
    input: Annotated[
        list[str], PlainValidator(_inputs, json_schema_input_type=str | list[str] | list[dict[str, str]])
    ] = Field(description="A text, a list of texts, or the text parts of one.", examples=["I will find you."])


class ModerationResult(ResponseBody):
    """The judgement of one text."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text"]]]


class ModerationResponse(ResponseBody):
    """The judgements, in the order of the inputs."""

    id: str
    model: str
    results: list[ModerationResult]
