"""``POST /v1/decisions``."""

from fastapi import APIRouter

from server.api.deps import RecordDep, RegistryDep
from server.api.request import JsonRoute
from server.api.schemas.decisions import DecisionRequest, DecisionResponse, DecisionUsage

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])


@router.post("/v1/decisions")
async def create_decision(body: DecisionRequest, registry: RegistryDep, record: RecordDep) -> DecisionResponse:
    """Answer questions about an input by probabilities."""
    task = registry.decider(body.model)
    record.serve(task.card.id)
    done = await task.decide(body.text, [question.question() for question in body.questions])
    record.finish(done.usage, done.timing)
    answers = [question.answer(list(p)) for question, p in zip(body.questions, done.items, strict=True)]
    return DecisionResponse(model=body.model or task.card.id, answers=answers, usage=DecisionUsage.of(done.usage))
