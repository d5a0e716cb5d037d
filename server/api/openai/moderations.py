"""``POST /v1/moderations``, in OpenAI's shapes and with its names of categories."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter
from pydantic import Field, PlainValidator

from models.cards import HeadSpec
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, require_items
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, ResponseBody, refuse, screen, shape_error
from server.api.schemas.inert import HINTS, PART
from server.errors import UnsupportedParameter
from server.tasks.guard import Guard, Judgement, Severity
from server.tasks.results import Scores

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
"""The categories that clients expect in an answer. One that the model was not trained on is never flagged, has a score
of 0, and has no input types."""


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
    flag_controversial: bool | None = Field(
        None,
        description="Guard models with three verdicts: whether a controversial text is flagged; true if left out (an "
        "extension).",
        examples=[True],
    )


class Safety(ResponseBody):
    """The verdict of a guard model, in the model's own words."""

    verdict: Severity = Field(description="The likeliest verdict.", examples=["controversial"])
    scores: dict[Severity, float] = Field(description="The probability of each verdict that the model knows.")
    categories: list[str] = Field(description="The categories of the harm, the likeliest first.", examples=[["PII"]])
    category_scores: dict[str, float] = Field(
        description="For each of the model's categories how likely it is named, if the text is harmful."
    )


class ModerationResult(ResponseBody):
    """The judgement of one text."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text"]]]
    safety: Safety | None = Field(default=None, description="Only of guard models (an extension).")


class ModerationResponse(ResponseBody):
    """The judgements, in the order of the inputs."""

    id: str
    model: str
    results: list[ModerationResult]


router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

LATEST = frozenset({"omni-moderation-latest", "text-moderation-latest", "text-moderation-stable"})
"""OpenAI's names for its current model, which clients send by default. They mean the only moderation model here, unless
an alias has the name."""
THRESHOLD = 0.5
"""The operating point of a label for which the manifest has none."""


@router.post("/v1/moderations", response_model=ModerationResponse, response_model_exclude_unset=True)
async def create_moderation(
    body: ModerationRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> ModerationResponse:
    """Judge whether texts are harmful, and how."""
    require_items(len(body.input), settings, "input")
    name = None if body.model in LATEST and not registry.knows(body.model) else body.model
    task = registry.moderator(name)
    record.serve(task.card.id)
    if isinstance(task, Guard):
        _require_three(body, task)
        judged = await task.judge(body.input)
        record.finish(judged.usage, judged.timing)
        results = [_told(item, body.flag_controversial is not False) for item in judged.items]
    else:
        _require_three(body, None)
        done = await task.classify(body.input)
        record.finish(done.usage, done.timing)
        results = [_judge(item, task.head.spec) for item in done.items]
    return ModerationResponse(id=new_id("modr-"), model=body.model or task.card.id, results=results)


def _judge(item: Scores, head: HeadSpec) -> ModerationResult:
    known = {name: item.scores[name] for name in CATEGORIES if name in item.scores}
    flags = {name: score >= head.thresholds.get(name, THRESHOLD) for name, score in known.items()}
    return ModerationResult(
        flagged=any(flags.values()),
        categories={name: flags.get(name, False) for name in CATEGORIES},
        category_scores={name: known.get(name, 0.0) for name in CATEGORIES},
        category_applied_input_types={name: ["text"] if name in known else [] for name in CATEGORIES},
    )


def _require_three(body: ModerationRequest, guard: Guard | None) -> None:
    """Refuse ``flag_controversial`` for a model without such a verdict.

    Raises:
        UnsupportedParameter: the request has the field, and the model has two verdicts or none.
    """
    if body.flag_controversial is not None and (guard is None or "controversial" not in guard.form.verdicts):
        raise UnsupportedParameter("flag_controversial", "this model calls no text controversial.")


GUARDED: Mapping[str, Sequence[str]] = {
    "violent": ("violence",),
    "non-violent illegal acts": ("illicit",),
    "sexual content or sexual acts": ("sexual",),
    "suicide & self-harm": ("self-harm",),
    "unethical acts": ("harassment", "hate"),
    "violent crimes": ("violence", "illicit/violent"),
    "non-violent crimes": ("illicit",),
    "sex crimes": ("sexual",),
    "sex-related crimes": ("sexual",),
    "child exploitation": ("sexual/minors",),
    "child sexual exploitation": ("sexual/minors",),
    "indiscriminate weapons": ("illicit/violent",),
    "hate": ("hate",),
    "self-harm": ("self-harm",),
    "sexual content": ("sexual",),
}
"""OpenAI's categories for those of guard models, by their names in small letters. Others (privacy, elections,
copyright) have none: they are in ``safety`` alone."""


def _told(item: Judgement, flags_controversial: bool) -> ModerationResult:
    """A guard model's verdict in OpenAI's categories. A score is the probability of harm times that of the category."""
    is_flagged = item.verdict == "unsafe" or (item.verdict == "controversial" and flags_controversial)
    harm = item.scores["unsafe"] + (item.scores.get("controversial", 0.0) if flags_controversial else 0.0)
    scores = dict.fromkeys(CATEGORIES, 0.0)
    known: set[str] = set()
    for name, probability in item.category_scores.items():
        for ours in GUARDED.get(name.casefold(), ()):
            known.add(ours)
            scores[ours] = max(scores[ours], harm * probability)
    named = {ours for name in item.categories for ours in GUARDED.get(name.casefold(), ())} if is_flagged else set()
    return ModerationResult(
        flagged=is_flagged,
        categories={name: name in named for name in CATEGORIES},
        category_scores=scores,
        category_applied_input_types={name: ["text"] if name in known else [] for name in CATEGORIES},
        safety=Safety(
            verdict=item.verdict,
            scores=dict(item.scores),
            categories=list(item.categories),
            category_scores=dict(item.category_scores),
        ),
    )
