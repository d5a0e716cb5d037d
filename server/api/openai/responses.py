"""``POST /v1/responses``, without a memory: each request brings all that was said."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Response

from server.api import events
from server.api.deps import RecordDep, ServicesDep, SettingsDep
from server.api.openai.response_answers import Answer
from server.api.openai.response_events import Events
from server.api.reading import JsonRoute
from server.api.schemas.response_objects import ResponseObject
from server.api.schemas.responses import ResponseRequest
from server.errors import ServerError
from server.tasks.aside import SMALL_BYTES, aside

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

NAMES = {
    "logprobs": "include",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format": "text.format",
    "tools.function.strict": "tools.strict",
}
"""What tasks call by the names of chat."""


@router.post("/v1/responses", response_model=ResponseObject)
async def create_response(
    body: ResponseRequest, services: ServicesDep, settings: SettingsDep, record: RecordDep
) -> ResponseObject | Response:
    """Answer an input, whole or as a stream of events."""
    task = services.chat(body.model)
    record.serve(task.card.id, generates=True)
    with _our_names():
        deltas = await task.chat(
            *await aside(
                lambda: (body.conversation(), body.options(), body.callable_tools()), record.body_bytes, SMALL_BYTES
            ),
            call_required=body.choice().required,
            several_calls=body.parallel_tool_calls,
        )
    answer = Answer(body, body.model or task.card.id)
    if body.stream:
        # The last event says how it ended; OpenAI sends no [DONE] here.
        return await events.begin(Events(answer).stream(deltas, record), record, settings.request_timeout_s, end=b"")
    (choice,) = await deltas.whole()
    record.finish(deltas.usage, deltas.timing, [choice.finish_reason])
    cut = choice.finish_reason == "length"
    return answer.ended(answer.output(choice.text, choice.tokens, choice.calls, cut=cut), deltas.usage, cut=cut)


@contextmanager
def _our_names() -> Iterator[None]:
    """Have a refusal name the field as this route does."""
    try:
        yield
    except ServerError as error:
        field = error.param
        if field in NAMES:
            error.field = NAMES[field]  # type: ignore[attr-defined]  # what has a param has a field
        raise
