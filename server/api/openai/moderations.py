"""``POST /v1/moderations``."""

from fastapi import APIRouter

from models.cards import HeadSpec
from server.api.deps import RecordDep, RegistryDep, SettingsDep, new_id, require_items
from server.api.request import JsonRoute
from server.api.schemas.moderations import CATEGORIES, ModerationRequest, ModerationResponse, ModerationResult
from server.tasks.results import Scores

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

LATEST = frozenset({"omni-moderation-latest", "text-moderation-latest", "text-moderation-stable"})
"""OpenAI's names for whichever model moderates now; clients send them without asking. An alias may say otherwise."""
THRESHOLD = 0.5
"""The operating point of a label for which the manifest has none."""


@router.post("/v1/moderations")
async def create_moderation(
    body: ModerationRequest, registry: RegistryDep, settings: SettingsDep, record: RecordDep
) -> ModerationResponse:
    """Judge whether texts are harmful, and how."""
    require_items(len(body.input), settings, "input")
    name = None if body.model in LATEST and not registry.knows(body.model) else body.model
    task = registry.classifier(name, "moderation")
    record.serve(task.card.id)
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
