"""``/v1/responses`` through the official client: whole, streamed, parsed and refused."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import responses as kinds
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tests.server_process import Served, serving

ASK = "I need a table for two in San Jose tomorrow at seven."
LOGPROBS: Any = ["message.output_text.logprobs"]
CANCEL: Any = {
    "type": "function",
    "name": "cancel",
    "description": "Cancel it.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"reason": {"type": "string", "enum": ["ill", "late"]}},
        "required": ["reason"],
        "additionalProperties": False,
    },
}
THANK: Any = {**CANCEL, "name": "thank"}


class Booking(BaseModel):
    """What a reservation needs."""

    model_config = ConfigDict(extra="forbid")

    city: str = Field(max_length=20)
    guests: int = Field(ge=1, le=12)
    seating: Literal["indoors", "outdoors"]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--models", "assistant,translate") as served:
        yield served


def create(client: OpenAI, **kwargs: Any) -> Any:
    return client.responses.create(**{"model": "assistant", "input": ASK, "temperature": 0, **kwargs})


def checked(thing: Any, kind: Any) -> Any:
    """The client builds its objects without checking them: check. Times are whole numbers on the wire."""
    return TypeAdapter(kind).validate_json(thing.model_dump_json(exclude_unset=True, by_alias=True))


def events_of(client: OpenAI, **kwargs: Any) -> list[Any]:
    events = list(create(client, stream=True, **kwargs))
    for event in events:
        checked(event, kinds.ResponseStreamEvent)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def test_an_answer_is_whole(client: OpenAI) -> None:
    answer = create(client, instructions="Be brief.", metadata={"team": "a"}, user="u-1")
    checked(answer, kinds.Response)
    assert (answer.status, answer.incomplete_details, answer.error) == ("completed", None, None)
    assert answer.output[0].status == "completed"
    assert (answer.instructions, answer.metadata, answer.user) == ("Be brief.", {"team": "a"}, "u-1")
    assert answer.output_text
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    chat = client.chat.completions.create(
        model="assistant",
        temperature=0,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASK}],
    )
    assert chat.usage is not None
    assert answer.output_text == chat.choices[0].message.content
    assert answer.usage.input_tokens == chat.usage.prompt_tokens
    assert answer.usage.output_tokens == chat.usage.completion_tokens


def test_a_limit_leaves_it_incomplete(client: OpenAI) -> None:
    answer = create(client, max_output_tokens=4)
    checked(answer, kinds.Response)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].status == "incomplete"
    assert answer.usage.output_tokens == 4
    assert events_of(client, max_output_tokens=4)[-1].type == "response.incomplete"


def test_a_stream_is_the_answer_event_by_event(client: OpenAI) -> None:
    fields: Any = {"include": LOGPROBS, "top_logprobs": 2}
    whole = create(client, **fields)
    events = events_of(client, **fields)
    names = [event.type.removeprefix("response.") for event in events]
    assert names[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert set(names[4:-4]) == {"output_text.delta"}
    assert names[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    text = whole.output_text
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == text
    assert [events[-4].text, events[-3].part.text, events[-2].item.content[0].text] == [text] * 3
    last = events[-1].response
    assert (last.output_text, last.status) == (text, "completed")
    # Not what was cached: the first request's prompt may or may not be in the cache by the second.
    assert (last.usage.input_tokens, last.usage.output_tokens) == (whole.usage.input_tokens, whole.usage.output_tokens)
    assert {event.response.id for event in (events[0], events[1])} == {last.id}
    assert events[0].response.status == events[1].response.status == "in_progress"
    told = [one.logprob for event in deltas for one in event.logprobs]
    logprobs = whole.output[0].content[0].logprobs
    assert told == [one.logprob for one in logprobs] == [one.logprob for one in events[-4].logprobs]
    assert all(len(one.top_logprobs) == 2 and one.logprob <= 0 for one in logprobs)


def test_the_stream_helper_puts_it_together(client: OpenAI) -> None:
    with client.responses.stream(model="assistant", input=ASK, temperature=0) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots[-1] == final.output_text == create(client).output_text


@pytest.mark.anyio
async def test_the_asynchronous_client_gets_the_same(client: OpenAI, async_client: AsyncOpenAI) -> None:
    fields: Any = {"model": "assistant", "input": ASK, "temperature": 0}
    whole = await async_client.responses.create(**fields)
    text = ""
    async for event in await async_client.responses.create(**fields, stream=True):
        text += event.delta if event.type == "response.output_text.delta" else ""
    async with async_client.responses.stream(**fields) as stream:
        final = await stream.get_final_response()
    assert whole.output_text == text == final.output_text == create(client).output_text


def test_parse_gives_an_object_of_the_class(client: OpenAI) -> None:
    parsed = client.responses.parse(model="assistant", input=ASK, text_format=Booking, temperature=0)
    assert parsed.status == "completed"
    assert isinstance(parsed.output_parsed, Booking)
    with client.responses.stream(model="assistant", input=ASK, text_format=Booking, temperature=0) as stream:
        assert stream.get_final_response().output_parsed == parsed.output_parsed


def test_any_json_object_can_be_asked_for(client: OpenAI) -> None:
    answer = create(client, text={"format": {"type": "json_object"}})
    if answer.status == "completed":
        assert isinstance(json.loads(answer.output_text), dict)
    assert answer.text.format.type == "json_object"


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "cancel"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "cancel"}]},
    ],
)
def test_a_call_is_made_streamed_and_answered(client: OpenAI, choice: Any) -> None:
    fields: Any = {"tools": [CANCEL, THANK], "tool_choice": choice, "parallel_tool_calls": False}
    whole = create(client, **fields)
    checked(whole, kinds.Response)
    (call,) = whole.output
    assert call.name in (("cancel", "thank") if choice == "required" else ("cancel",))
    assert json.loads(call.arguments) in ({"reason": "ill"}, {"reason": "late"})
    events = events_of(client, **fields)
    assert [event.type.removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert "".join(e.delta for e in events if e.type.endswith("arguments.delta")) == call.arguments
    assert events[-1].response.output[0].arguments == call.arguments == events[-3].arguments
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"done": true}'}
    after = create(client, input=[{"role": "user", "content": ASK}, *whole.output, result], tools=[CANCEL, THANK])
    assert after.usage.input_tokens > whole.usage.input_tokens


def test_items_go_back_in_as_the_client_holds_them(client: OpenAI) -> None:
    first = create(client, include=LOGPROBS)
    again = [{"type": "input_text", "text": "At "}, {"type": "input_text", "text": "eight."}]
    items: Any = [{"role": "user", "content": ASK}, *first.output, {"role": "user", "content": again}]
    plain: Any = [
        {"role": "user", "content": ASK, "type": "message"},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "At eight."},
    ]
    assert create(client, input=items).output_text == create(client, input=plain).output_text


def test_a_translator_answers_too(client: OpenAI) -> None:
    answer = create(client, model="translate", input="Good morning.", instructions="Translate to German.")
    checked(answer, kinds.Response)
    assert (
        answer.output_text
        == events_of(client, model="translate", input="Good morning.", instructions="Translate to German.")[
            -1
        ].response.output_text
    )
    cut = create(client, model="translate", instructions="Translate to German.", max_output_tokens=2)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, model="translate", instructions="Translate to German.", top_p=0.5)
    assert refused.value.param == "top_p"


@pytest.mark.parametrize(
    ("param", "kwargs"),
    [
        ("store", {"store": True}),
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("conversation", {"conversation": "conv_1"}),
        ("background", {"background": True}),
        ("truncation", {"truncation": "auto"}),
        ("reasoning.effort", {"reasoning": {"effort": "high"}}),
        ("service_tier", {"service_tier": "flex"}),
        ("text.verbosity", {"text": {"verbosity": "low"}}),
        ("text.format.type", {"text": {"format": {"type": "xml"}}}),
        ("text.format.schema", {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "no"}}}}),
        (
            "text.format.schema",
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "x",
                        "strict": True,
                        "schema": {"type": "array", "uniqueItems": True},
                    }
                }
            },
        ),
        ("include", {"include": ["web_search_call.action.sources"]}),
        ("top_logprobs", {"top_logprobs": 3}),
        ("stream_options.include_obfuscation", {"stream": True, "stream_options": {"include_obfuscation": True}}),
        ("tools.0.type", {"tools": [{"type": "web_search"}]}),
        ("tools", {"tools": [CANCEL, CANCEL]}),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tools": [CANCEL], "tool_choice": {"type": "function", "name": "fly"}}),
        ("input", {"input": []}),
        ("input.0.type", {"input": [{"type": "item_reference", "id": "x"}]}),
        ("input.0.content.0", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}),
        ("temprature", {"extra_body": {"temprature": 1}}),
        ("input", {"input": "hi " * 3000}),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(client: OpenAI, param: str, kwargs: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, **kwargs)
    assert refused.value.param == param


def test_what_asks_for_nothing_is_accepted(client: OpenAI) -> None:
    answer = create(
        client,
        store=False,
        background=False,
        truncation="disabled",
        service_tier="auto",
        reasoning={"effort": "none"},
        text={"format": {"type": "text"}, "verbosity": "medium"},
        include=["reasoning.encrypted_content"],
        safety_identifier="u-1",
        prompt_cache_key="c-1",
        max_output_tokens=4,
    )
    assert (answer.truncation, answer.service_tier, answer.safety_identifier) == ("disabled", "default", "u-1")


def test_other_errors_have_their_classes(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="assistant"):
        create(client, model="gpt-6")
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, input="hi " * 3000, stream=True)
    assert refused.value.code == "context_length_exceeded"
