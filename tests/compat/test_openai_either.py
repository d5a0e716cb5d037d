"""Requests with tools and a response format: the model calls a tool first, and answers in the format afterwards."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

ASK = "I need a dentist in San Jose."
PARAMETERS: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "kind": {"enum": ["dentist", "doctor", "hairdresser"]}},
    "required": ["city", "kind"],
    "additionalProperties": False,
}
FORM: Any = {
    "type": "object",
    "properties": {"found": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["found"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "find_provider", "parameters": PARAMETERS}}
FOUND = json.dumps([{"name": "Dr. Bella Rossi", "city": "San Jose"}])


def create(client: OpenAI, messages: list[Any], **fields: Any) -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": FORM, "strict": True}}
    fields = {"temperature": 0, "max_tokens": 60, "tools": [TOOL], "response_format": form, **fields}
    return client.chat.completions.create(model="assistant", messages=messages, **fields)


def served(client: OpenAI) -> list[Any]:
    """A conversation that ends with the tool's result."""
    messages: list[Any] = [{"role": "user", "content": ASK}]
    said = create(client, messages).choices[0].message
    (call,) = said.tool_calls
    assert json.loads(call.function.arguments) == {"city": "San Jose", "kind": "dentist"}
    return [*messages, said, {"role": "tool", "tool_call_id": call.id, "content": FOUND}]


@pytest.mark.parametrize("temperature", [0, 0.3])
def test_after_a_calls_result_each_choice_is_of_the_form(client: OpenAI, temperature: float) -> None:
    answer = create(client, served(client), n=3, seed=1, temperature=temperature)
    for choice in answer.choices:
        assert choice.finish_reason == "stop"
        assert set(json.loads(choice.message.content)) == {"found"}


def test_streamed_it_is_the_same(client: OpenAI) -> None:
    messages = served(client)
    chunks = list(create(client, messages, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == create(client, messages).choices[0].message.content
    asked = create(client, messages[:1], stream=True)
    assert [chunk.choices[0].finish_reason for chunk in asked][-1] == "tool_calls"


def test_choices_that_are_drawn_go_either_way(client: OpenAI) -> None:
    # The model is undecided about this request: some choices call the tool, others answer.
    messages = [{"role": "user", "content": "Please find a provider."}]
    choices = create(client, messages, n=16, temperature=1, seed=2).choices
    for choice in choices:
        if choice.message.tool_calls:
            assert choice.finish_reason == "tool_calls"
            assert not choice.message.content
        else:
            assert set(json.loads(choice.message.content)) == {"found"}
    assert {bool(choice.message.tool_calls) for choice in choices} == {False, True}


def test_responses_answer_in_the_form_after_the_result(client: OpenAI) -> None:
    fields: Any = {
        "model": "assistant",
        "tools": [{"type": "function", **TOOL["function"]}],
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": FORM, "strict": True}},
        "temperature": 0,
        "max_output_tokens": 60,
    }
    said: list[Any] = [{"role": "user", "content": ASK}]
    (call,) = client.responses.create(input=said, **fields).output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": FOUND}
    assert set(json.loads(client.responses.create(input=[*said, call, result], **fields).output_text)) == {"found"}


def test_a_limit_that_cannot_be_is_refused_before_anything_is_decoded(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, [{"role": "user", "content": ASK}], max_tokens=2, extra_body={"min_tokens": 3})
    assert refused.value.param == "min_tokens"
