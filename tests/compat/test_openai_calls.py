"""Calls and forms through the official client: typed, returned only when they are whole, never returned twice."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.server_process import serving

ASK: Any = [{"role": "user", "content": "I need a table for 3 people on Friday in San Jose."}]
DAY = {"type": "string", "enum": ["Monday", "Friday"]}
SIZE = {"type": "integer", "minimum": 1, "maximum": 9}


def tool(strict: bool = True, defs: Any = None, **properties: Any) -> Any:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    function = {"name": "book", "strict": strict, "parameters": {**parameters, **({"$defs": defs} if defs else {})}}
    return {"type": "function", "function": function}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with serving("--models", "assistant") as served:
        yield openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def create(client: openai.OpenAI, **kwargs: Any) -> Any:
    given = {"max_tokens": 60, "temperature": 0, **kwargs}
    return client.chat.completions.create(model="assistant", messages=ASK, **given)


def one_call(client: openai.OpenAI, made: Any, **kwargs: Any) -> Any:
    """The arguments of the one call of this tool."""
    answer = create(client, tools=[made], tool_choice="required", parallel_tool_calls=False, **kwargs).choices[0]
    assert answer.finish_reason == "tool_calls", answer
    return json.loads(answer.message.tool_calls[0].function.arguments)


@pytest.mark.parametrize(
    ("schema", "right"),
    [
        ({"$ref": "#/$defs/Kind"}, lambda x: x in ("table", "hotel")),
        ({"type": ["boolean", "null"]}, lambda x: x is None or isinstance(x, bool)),
        ({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]}, lambda x: x is None or len(x) <= 5),
        ({"type": "array", "items": {"$ref": "#/$defs/Kind"}, "maxItems": 3},
         lambda x: isinstance(x, list) and set(x) <= {"table", "hotel"}),
        ({"enum": [2, 3, None]}, lambda x: x in (2, 3, None) and not isinstance(x, str)),
        ({"oneOf": [{"type": "integer", "maximum": 5, "minimum": 0}, {"const": "many"}]},
         lambda x: x == "many" or 0 <= x <= 5),
        ({"type": "object", "properties": {"day": DAY, "size": SIZE}, "required": ["day", "size"],
          "additionalProperties": False}, lambda x: x["day"] in DAY["enum"] and 1 <= x["size"] <= 9),
    ],
)  # fmt: skip
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_an_argument_is_of_its_schema_and_comes_typed(
    client: openai.OpenAI, schema: Any, right: Any, strict: bool, seed: int
) -> None:
    made = tool(strict, {"Kind": {"type": "string", "enum": ["table", "hotel"]}}, x=schema)
    assert right(one_call(client, made, temperature=0.7, seed=seed)["x"])


def streamed(client: openai.OpenAI, **kwargs: Any) -> tuple[list[str], str, str]:
    """The calls' arguments, the text and the finish reason of a stream."""
    calls, text, reasons = [], "", []
    for chunk in create(client, stream=True, **kwargs):
        calls += [call.function.arguments for call in chunk.choices[0].delta.tool_calls or ()]
        text += chunk.choices[0].delta.content or ""
        reasons.append(chunk.choices[0].finish_reason)
    return calls, text, reasons[-1]


@pytest.mark.parametrize("max_tokens", range(1, 16))
def test_a_call_cut_off_by_the_limit_is_not_told(client: openai.OpenAI, max_tokens: int) -> None:
    kwargs: Any = {"tools": [tool(day=DAY, people=SIZE)], "tool_choice": "required", "max_tokens": max_tokens}
    whole = create(client, **kwargs)
    answer, calls = whole.choices[0], [call.function.arguments for call in whole.choices[0].message.tool_calls or ()]
    if whole.usage.completion_tokens == max_tokens and answer.finish_reason != "tool_calls":
        assert answer.finish_reason == "length"
    for arguments in calls:
        assert set(json.loads(arguments)) == {"day", "people"}
    assert streamed(client, **kwargs) == (calls, answer.message.content or "", answer.finish_reason)
    function = kwargs["tools"][0]["function"]
    response = client.responses.create(
        model="assistant", input=ASK, max_output_tokens=max_tokens, temperature=0, tool_choice="required",
        tools=[{"type": "function", **function}],
    )  # fmt: skip
    cut = answer.finish_reason == "length"
    assert response.status == ("incomplete" if cut else "completed")
    assert (response.incomplete_details.reason if response.incomplete_details else None) == (
        "max_output_tokens" if cut else None
    )
    assert [item.arguments for item in response.output if item.type == "function_call"] == calls


def test_the_limit_cuts_some_calls(client: openai.OpenAI) -> None:
    answer = create(client, tools=[tool(day=DAY, people=SIZE)], tool_choice="required", max_tokens=5).choices[0]
    assert (answer.finish_reason, answer.message.tool_calls) == ("length", None)


@pytest.mark.parametrize(("temperature", "seed"), [(0, 0), (1, 1), (1, 2)])
def test_equal_calls_are_not_made_twice_in_one_turn(client: openai.OpenAI, temperature: float, seed: int) -> None:
    """Left alone, the model makes this one call fifteen to fifty times; the turn ends when it begins the third."""
    schema = {"type": "object", "properties": {"reason": {"enum": ["ill", "late"]}}, "required": ["reason"]}
    made: Any = {"type": "function", "function": {"name": "cancel", "parameters": schema}}
    kwargs: Any = {"tools": [made], "tool_choice": "required", "temperature": temperature, "seed": seed}
    whole = create(client, max_tokens=400, **kwargs)
    calls = [call.function.arguments for call in whole.choices[0].message.tool_calls]
    assert whole.choices[0].finish_reason == "tool_calls"
    assert len(calls) == 1
    assert whole.usage.completion_tokens < 60
    assert streamed(client, max_tokens=400, **kwargs) == (calls, "", "tool_calls")


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize("seed", range(3))
def test_a_number_ends_by_itself(client: openai.OpenAI, kind: str, seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": kind}},
        "required": ["age"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    answer = create(client, response_format=form, max_tokens=100, temperature=seed / 2, seed=seed).choices[0]
    assert answer.finish_reason == "stop"
    assert isinstance(json.loads(answer.message.content)["age"], int | float)


FORM: Any = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("choice", ["auto", "required", "none"])
@pytest.mark.parametrize("seed", range(4))
def test_with_tools_and_a_form_an_answer_is_calls_or_of_that_form(
    client: openai.OpenAI, choice: str, seed: int
) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": FORM}}
    kwargs: Any = {"tools": [tool(day=DAY)], "tool_choice": choice, "response_format": form, "seed": seed}
    answer = create(client, temperature=1, **kwargs).choices[0]
    for call in answer.message.tool_calls or ():
        assert choice != "none"
        assert json.loads(call.function.arguments)["day"] in DAY["enum"]
    if not answer.message.tool_calls:
        assert choice != "required"
        assert set(json.loads(answer.message.content)) == {"ok"}


def test_the_older_form_of_a_schema_is_enforced(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_object", "schema": FORM}
    assert set(json.loads(create(client, response_format=form).choices[0].message.content)) == {"ok"}
    with pytest.raises(openai.BadRequestError, match="'type' at the root") as refused:
        create(client, response_format={"type": "json_object", "schema": {"type": "no"}})
    assert refused.value.param == "response_format.schema"


def test_a_schema_that_cannot_be_followed_is_a_bad_request(client: openai.OpenAI) -> None:
    ring = {name: {"type": "object", "properties": {"x": {"$ref": f"#/$defs/{other}"}}, "required": ["x"]}
            for name, other in (("A", "B"), ("B", "A"))}  # fmt: skip
    schema = {"$ref": "#/$defs/A", "$defs": ring}
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, response_format=form)
    assert refused.value.param == "response_format.json_schema.schema"
    with pytest.raises(openai.BadRequestError, match="The tool 'book'") as refused:
        create(client, tools=[tool(defs=ring, x={"$ref": "#/$defs/A"})])
    assert refused.value.param == "tools"
    text: Any = {"format": {"type": "json_schema", "name": "a", "schema": schema}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="assistant", input="Hi", text=text)
    assert refused.value.param == "text.format.schema"
