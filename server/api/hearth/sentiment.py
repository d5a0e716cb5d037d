"""``POST /v1/sentiment``, in our own shapes."""

from typing import ClassVar, Literal

from fastapi import APIRouter
from pydantic import Field

from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.request import JsonRoute
from server.api.schemas.base import ModelName, RequestBody, ResponseBody, Texts, Usage, as_list
from server.api.schemas.inert import HINTS
from server.tasks.results import Scores, ScoresFlag

MOODS = ("negative", "neutral", "positive")


class SentimentRequest(RequestBody):
    """Texts to score."""

    inert: ClassVar = HINTS

    model: ModelName = Field(examples=["sentiment"])
    input: Texts = Field(description="A text or a list of texts.", examples=["I love it."])

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return as_list(self.input)


class SentimentItem(ResponseBody):
    """The mood of one text."""

    object: Literal["sentiment"]
    index: int
    label: str
    score: float = Field(description="The probability of the label.")
    scores: dict[str, float]
    model: str = Field(description="The model that read it: of those with this head one that reads its language.")
    language: str | None = Field(description="Its language (ISO 639-1); null: it could not be told.", examples=["en"])
    flags: list[ScoresFlag] = Field(
        description="Why the scores say nothing of it: `unsupported_language`, when no model reads its language. "
        "Mostly empty.", examples=[[]],
    )  # fmt: skip
    chunks: int = Field(
        description="In how many chunks the text was read; above 1 for one longer than the model reads, whose "
        "probabilities are their mean, weighted by tokens.", examples=[1],
    )  # fmt: skip

    @classmethod
    def of(cls, index: int, item: Scores) -> "SentimentItem":
        """Encode."""
        return cls(
            object="sentiment",
            index=index,
            label=_mood(item.label),
            score=item.scores[item.label],
            scores={_mood(label): score for label, score in item.scores.items()},
            model=item.model,
            language=item.language,
            flags=list(item.flags),
            chunks=item.chunks,
        )


def _mood(label: str) -> str:
    """Models from a hub write moods in their own case; here they are the same from every model."""
    folded = label.casefold()
    return folded if folded in MOODS else label


class SentimentResponse(ResponseBody):
    """The moods, in the order of the inputs."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[SentimentItem]
    usage: Usage


router = APIRouter(route_class=JsonRoute, tags=["Hearth"])


@router.post("/v1/sentiment")
async def create_sentiment(
    body: SentimentRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> SentimentResponse:
    """Score the mood of texts."""
    require_items(len(body.texts), settings, "input")
    task = registry.classifier(body.model, "sentiment")
    record.serve(task.card.id)
    done = await task.classify(body.texts)
    record.finish(done.usage, done.timing)
    return SentimentResponse(
        id=new_id("sent-"),
        object="list",
        created=now(),
        model=body.model or task.card.id,
        data=[SentimentItem.of(i, item) for i, item in enumerate(done.items)],
        usage=Usage.of(done.usage),
    )
