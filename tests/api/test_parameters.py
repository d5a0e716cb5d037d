"""The server honours each parameter or refuses it by name; it ignores none."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from server.api.schemas.chat import ChatRequest

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}
COMPLETION: dict[str, Any] = {"model": "assistant", "prompt": "Hi"}


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ("Hi", "messages"),
        ([], "messages"),
        ([123], "messages.0"),
        ([{}], "messages.0.role"),
        ([{"role": "user"}], "messages.0.content"),
        ([{"role": "king", "content": "Hi"}], "messages.0.role"),
        ([{"role": "user", "content": 123}], "messages.0.content"),
        ([{"role": "user", "content": []}], "messages.0.content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages.0.content.0"),
        ([{"role": "user", "content": "Hi"}, {"role": "user", "content": {}}], "messages.1.content"),
        ([{"role": "user", "content": "Hi", "mood": "good"}], "messages.0.mood"),
        ([{"role": "assistant"}], "messages.0.content"),
        ([{"role": "assistant", "content": "Hi", "refusal": "no"}], "messages.0.refusal"),
        ([{"role": "tool", "content": "Hi"}], "messages.0.tool_call_id"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "messages.0.tool_calls.0.type"),
    ],
)
async def test_a_bad_message_is_named(served: Any, messages: Any, param: str) -> None:
    error = error_of(await served.post("/v1/chat/completions", model="assistant", messages=messages))
    assert error["param"] == param


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("temperature", -0.1, "temperature"),
        ("temperature", 2.1, "temperature"),
        ("temperature", "1", "temperature"),
        ("temperature", True, "temperature"),
        ("temperature", 10**400, "temperature"),
        ("top_p", 0, "top_p"),
        ("max_tokens", 0, "max_tokens"),
        ("max_tokens", 1.5, "max_tokens"),
        ("max_completion_tokens", 10**30, "max_completion_tokens"),
        ("n", 0, "n"),
        ("n", 129, "n"),
        ("stop", ["a"] * 17, "stop"),
        ("stop", "", "stop"),
        ("stop", [1], "stop.0"),
        ("seed", 2**63, "seed"),
        ("seed", "x", "seed"),
        ("logit_bias", {"a": 1}, "logit_bias"),
        ("logit_bias", {"5": 101}, "logit_bias.5"),
        ("logit_bias", {"5": "1"}, "logit_bias.5"),
        ("presence_penalty", 3, "presence_penalty"),
        ("top_logprobs", 5, "top_logprobs"),
        ("stream_options", {"include_usage": True}, "stream_options"),
        ("stream", 1, "stream"),
        ("tool_choice", "maybe", "tool_choice"),
        ("tool_choice", "required", "tool_choice"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}, "tool_choice"),
        ("tools", [{"type": "function"}], "tools.0.function"),
        ("tools", [{"type": "function", "function": {"name": "a b"}}], "tools.0.function.name"),
        ("response_format", {"type": "yaml"}, "response_format"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": 123}}, "response_format.json_schema"),
        ("metadata", {"a": 1}, "metadata.a"),
    ],
)
async def test_a_value_a_field_cannot_have_is_refused_by_name(served: Any, field: str, value: Any, param: str) -> None:
    error = error_of(await served.post("/v1/chat/completions", **{**CHAT, field: value}))
    assert error["param"] == param
    assert error["code"] == "invalid_value"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("audio", {}),
        ("modalities", ["text", "audio"]),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("reasoning_effort", "high"),
        ("verbosity", "low"),
        ("store", True),
        ("service_tier", "priority"),
        ("moderation", {"model": "m"}),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(served: Any, field: str, value: Any) -> None:
    error = error_of(await served.post("/v1/chat/completions", **{**CHAT, field: value}))
    assert error["param"] == field
    assert error["code"] == "unsupported_parameter"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", "u"),
        ("metadata", {"a": "b"}),
        ("safety_identifier", "u"),
        ("prompt_cache_key", "k"),
        ("store", False),
        ("service_tier", "auto"),
        ("modalities", ["text"]),
        ("response_format", {"type": "text"}),
        ("parallel_tool_calls", True),
        ("stop", None),
        ("stop", []),
        ("stop", [f"s{i}" for i in range(16)]),
        ("tools", []),
        ("max_tokens", -1),
        ("prompt_cache_retention", "24h"),
        ("logit_bias", {}),
    ],
)
async def test_what_asks_for_nothing_is_accepted(served: Any, field: str, value: Any) -> None:
    assert (await served.post("/v1/chat/completions", **{**CHAT, field: value})).status_code == 200


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        ([], "prompt"),
        ([[]], "prompt"),
        (["a", 1], "prompt"),
        ([1, "a"], "prompt"),
        ([[1], "a"], "prompt"),
        ([[1], ["a"]], "prompt"),
        ([True], "prompt"),
        ([-1], "prompt"),
        ([10**20], "prompt"),
        ([2**31 - 1], "prompt"),
        ({}, "prompt"),
        (5, "prompt"),
    ],
)
async def test_a_prompt_of_the_wrong_shape_is_refused(served: Any, prompt: Any, param: str) -> None:
    error = error_of(await served.post("/v1/completions", model="assistant", prompt=prompt))
    assert error["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"repetition_penalty": 1e-40}, "repetition_penalty"),  # logits over it are infinite
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
    ],
)
async def test_completions_refuse_what_they_cannot_do(served: Any, fields: dict[str, Any], param: str) -> None:
    assert error_of(await served.post("/v1/completions", **COMPLETION, **fields))["param"] == param


@pytest.mark.parametrize(("field", "value"), [("seed", -1), ("max_tokens", -1), ("stop", []), ("logit_bias", [])])
async def test_a_value_that_stands_for_not_given_is_none(served: Any, field: str, value: Any) -> None:
    given, plain = (ChatRequest.model_validate(body) for body in ({**CHAT, field: value}, CHAT))
    assert given.options() == plain.options()


@pytest.mark.parametrize("off", [{"top_k": -1}, {"top_k": 0}, {"repeat_penalty": 1}, {"repetition_penalty": 1}])
async def test_a_sampler_that_is_off_is_said_and_not_left_to_the_model(off: dict[str, Any]) -> None:
    said, plain = (ChatRequest.model_validate(body).options() for body in ({**CHAT, **off}, CHAT))
    assert replace(said, left=plain.left) == plain
    assert plain.left - said.left == {"repetition_penalty" if "repeat_penalty" in off else next(iter(off))}


async def test_two_names_of_a_penalty_say_one_thing(served: Any) -> None:
    fields = {"repeat_penalty": 1.2, "repetition_penalty": 1.1}
    assert error_of(await served.post("/v1/completions", **COMPLETION, **fields))["param"] == "repeat_penalty"


async def test_an_empty_name_of_a_model_is_no_name(served: Any) -> None:
    for path, body in (("/v1/chat/completions", CHAT), ("/v1/completions", COMPLETION)):
        given = await served.post(path, **{**body, "model": ""})
        left_out = await served.post(path, **{name: value for name, value in body.items() if name != "model"})
        assert given.status_code == left_out.status_code
        assert given.json().get("model") == left_out.json().get("model")


async def test_null_is_the_default_of_every_optional_field(served: Any) -> None:
    optional = {name: None for name, field in ChatRequest.model_fields.items() if not field.is_required()}
    optional |= dict.fromkeys(ChatRequest.neutral)
    del optional["model"]
    response = await served.post("/v1/chat/completions", **{**optional, **CHAT})
    assert response.status_code == 200, response.text
