"""Structured output and tool calls through the official client: enforced while decoding, whatever the model prefers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, ConfigDict, Field

from models.families.hearth_assistant import CALL, NEVER_WRITTEN
from models.registry import read_card
from models.tokenizers import load_tokenizer
from tests.server_process import serving

TOKENIZER = load_tokenizer(read_card(Path(__file__).parents[2] / "models" / "weights" / "assistant"))
ASK: Any = [{"role": "user", "content": "I need a table for two in San Jose tomorrow at seven."}]


class Booking(BaseModel):
    """What a reservation needs."""

    model_config = ConfigDict(extra="forbid")

    city: str = Field(max_length=20)
    guests: int = Field(ge=1, le=12)
    seating: Literal["indoors", "outdoors"]


def tool(name: str, strict: bool = True, **properties: Any) -> Any:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters, "strict": strict}}


BOOK = tool("book_table", city={"type": "string"}, guests={"type": "integer"}, terrace={"type": "boolean"})
CANCEL = tool("cancel", reason={"type": "string", "enum": ["ill", "late"]})


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with serving("--models", "assistant,translate") as served:
        yield openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def create(client: openai.OpenAI, **kwargs: Any) -> Any:
    return client.chat.completions.create(model="assistant", messages=ASK, max_tokens=200, **kwargs)


@pytest.mark.parametrize("seed", range(4))
def test_parse_gives_an_object_of_the_class(client: openai.OpenAI, seed: int) -> None:
    parsed = client.chat.completions.parse(
        model="assistant", messages=ASK, response_format=Booking, seed=seed, temperature=1, max_tokens=200
    )
    booking = parsed.choices[0].message.parsed
    assert parsed.choices[0].finish_reason == "stop"
    assert isinstance(booking, Booking)


def test_any_json_object_can_be_asked_for(client: openai.OpenAI) -> None:
    for seed in range(3):
        answer = create(client, response_format={"type": "json_object"}, seed=seed, temperature=1).choices[0]
        if answer.finish_reason == "stop":
            assert isinstance(json.loads(answer.message.content), dict)
        else:
            assert answer.finish_reason == "length"
            assert answer.message.content.startswith("{")


def test_a_stream_spells_the_same_document(client: openai.OpenAI) -> None:
    schema = {"name": "booking", "schema": Booking.model_json_schema(), "strict": True}
    form: Any = {"type": "json_schema", "json_schema": schema}
    whole = create(client, response_format=form, seed=5).choices[0].message.content
    chunks = create(client, response_format=form, seed=5, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    Booking.model_validate_json(whole)


@pytest.mark.parametrize("seed", range(4))
def test_a_required_call_is_made_with_complete_arguments(client: openai.OpenAI, seed: int) -> None:
    answer = create(client, tools=[BOOK, CANCEL], tool_choice="required", seed=seed, temperature=1).choices[0]
    assert answer.finish_reason in ("tool_calls", "length")
    for call in answer.message.tool_calls or ():
        arguments = json.loads(call.function.arguments)
        if call.function.name == "cancel":
            assert arguments["reason"] in ("ill", "late")
        elif answer.finish_reason == "tool_calls":
            assert isinstance(arguments["guests"], int)
            assert isinstance(arguments["terrace"], bool)
            assert list(arguments) == ["city", "guests", "terrace"]


def test_a_named_function_is_the_one_that_is_called(client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "function": {"name": "cancel"}}
    answer = create(client, tools=[BOOK, CANCEL], tool_choice=choice, parallel_tool_calls=False).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert [call.function.name for call in answer.message.tool_calls] == ["cancel"]
    assert json.loads(answer.message.tool_calls[0].function.arguments)["reason"] in ("ill", "late")


def test_auto_says_something_or_makes_a_call_that_is_one(client: openai.OpenAI) -> None:
    for seed in range(6):
        answer = create(client, tools=[BOOK, CANCEL], seed=seed, temperature=1).choices[0]
        for call in answer.message.tool_calls or ():
            assert call.function.name in ("book_table", "cancel")
            json.loads(call.function.arguments)


@pytest.mark.parametrize("token", [*NEVER_WRITTEN, CALL])
def test_a_token_of_prompts_alone_is_never_written(client: openai.OpenAI, token: str) -> None:
    number = str(TOKENIZER.id(token))
    with pytest.raises(openai.BadRequestError, match="never written") as refused:
        create(client, logit_bias={number: 1})
    assert refused.value.param == f"logit_bias.{number}"
    assert create(client, logit_bias={number: -100}).choices[0].message.content


def test_an_answer_is_not_made_of_tokens_of_prompts(client: openai.OpenAI) -> None:
    ask: Any = [{"role": "user", "content": "I want to check the balance of my savings account."}]
    answer = client.chat.completions.create(
        model="assistant", messages=ask, temperature=0, max_tokens=60, logprobs=True
    ).choices[0]
    assert answer.finish_reason == "stop"
    assert answer.message.content
    assert answer.logprobs
    assert not {token.token for token in answer.logprobs.content or ()} & {*NEVER_WRITTEN, CALL}


def test_a_streamed_call_is_the_whole_call(client: openai.OpenAI) -> None:
    kwargs: Any = {"tools": [CANCEL], "tool_choice": "required", "seed": 3, "parallel_tool_calls": False}
    whole = create(client, **kwargs).choices[0].message.tool_calls[0].function
    name, arguments, reasons = "", "", []
    for chunk in create(client, **kwargs, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        reasons.append(chunk.choices[0].finish_reason)
    assert (name, arguments) == (whole.name, whole.arguments)
    assert reasons[-1] == "tool_calls"


@pytest.mark.parametrize(
    ("param", "kwargs"),
    [
        ("response_format", {"response_format": {"type": "xml"}}),
        ("response_format.json_schema", {"response_format": {"type": "json_schema"}}),
        ("response_format.json_schema.schema", {"response_format": {"type": "json_schema", "json_schema": {
            "name": "x", "schema": {"type": "nothing"}}}}),
        ("response_format.json_schema.schema", {"response_format": {"type": "json_schema", "json_schema": {
            "name": "x", "strict": True, "schema": {"type": "array", "uniqueItems": True}}}}),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tools": [BOOK], "tool_choice": {"type": "function", "function": {"name": "fly"}}}),
        ("tool_choice", {"tools": [BOOK], "tool_choice": {"type": "function"}}),
        ("tools", {"tools": [BOOK, BOOK]}),
        ("tools", {"tools": [tool("mail", to={"type": "array", "uniqueItems": True})]}),
        ("response_format", {"response_format": {"type": "text", "schema": {}}}),
    ],
)  # fmt: skip
def test_what_cannot_be_enforced_is_refused_by_name(client: openai.OpenAI, param: str, kwargs: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, **kwargs)
    assert refused.value.param == param
    assert create(client, n=2).choices[1].message.content is not None


def test_a_translator_is_held_to_no_schema(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "system", "content": "To German."}, {"role": "user", "content": "Hello."}]
    with pytest.raises(openai.BadRequestError, match="translator"):
        client.chat.completions.create(model="translate", messages=messages, response_format={"type": "json_object"})


@pytest.mark.parametrize("seed", range(3))
def test_arguments_keep_the_bounds_of_their_schema(client: openai.OpenAI, seed: int) -> None:
    guests = {"type": "integer", "minimum": 1, "maximum": 12}
    bounded = tool("book_table", guests=guests, city={"type": "string", "minLength": 2, "maxLength": 9})
    answer = create(client, tools=[bounded], tool_choice="required", parallel_tool_calls=False, seed=seed).choices[0]
    arguments = json.loads(answer.message.tool_calls[0].function.arguments)
    assert 1 <= arguments["guests"] <= 12
    assert len(arguments["city"]) <= 9
