"""``POST /v1/sentiment``."""

from fastapi import APIRouter

from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, now, require_items
from server.api.request import JsonRoute
from server.api.schemas.base import Usage
from server.api.schemas.sentiment import SentimentItem, SentimentRequest, SentimentResponse

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
