"""Every error on every route has the one shape, the right status and the name of the field."""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}
COMPLETION: dict[str, Any] = {"model": "assistant", "prompt": "Hi"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETION,
    "/v1/embeddings": {"model": "embed", "input": "Hi"},
    "/v1/moderations": {"input": "Hi"},
    "/v1/translations": {"input": "Hi", "target": "de"},
    "/v1/sentiment": {"input": "Hi"},
    "/tokenize": {"model": "assistant", "prompt": "Hi"},
    "/detokenize": {"model": "assistant", "tokens": [5]},
}


def error_of(response: httpx.Response, status: int = 400) -> dict[str, Any]:
    body = response.json()
    assert response.status_code == status, body
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    found: dict[str, Any] = body["error"]
    return found


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("raw", ["", "[]", "1", '"x"', "null", "{", "NaN", '{"input": NaN}', '{"input": 1e999}',
                                 '{"input": "\\ud800"}', "[" * 10_000, '{"a":' * 10_000, b"\xff\xfe"])  # fmt: skip
async def test_a_body_that_is_no_json_object_is_refused(served: Any, path: str, raw: str | bytes) -> None:
    headers = {"content-type": "application/json"}
    error_of(await served.http.post(path, content=raw, headers=headers))


@pytest.mark.parametrize("path", BODIES)
async def test_an_unknown_field_is_refused_by_name(served: Any, path: str) -> None:
    error = error_of(await served.post(path, **BODIES[path], temprature=1))
    assert error["param"] == "temprature"
    assert error["type"] == "invalid_request_error"


async def test_a_misspelt_field_is_told_its_likely_name(served: Any) -> None:
    error = error_of(await served.post("/v1/chat/completions", **CHAT, temprature=1))
    assert "Did you mean 'temperature'?" in error["message"]


@pytest.mark.parametrize("path", BODIES)
async def test_the_wrong_method_is_a_405_that_names_the_right_one(served: Any, path: str) -> None:
    response = await served.http.get(path)
    assert error_of(response, 405)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", BODIES)
async def test_the_wrong_content_type_is_a_415(served: Any, path: str) -> None:
    error = error_of(await served.http.post(path, data={"input": "Hi"}), 415)
    assert "application/json" in error["message"]


@pytest.mark.parametrize("path", ["/nix", "/v1", "/v1/", "/v1/models/", "/v1/chat", "/docs/", "//", "/v1/models/a/b"])
async def test_an_unknown_route_is_a_404_in_the_same_shape(served: Any, path: str) -> None:
    assert error_of(await served.http.get(path), 404)["code"] == "unknown_url"


@pytest.mark.parametrize("path", BODIES)
async def test_an_unknown_model_is_a_404_that_lists_the_models(served: Any, path: str) -> None:
    error = error_of(await served.post(path, **{**BODIES[path], "model": "gpt-9"}), 404)
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"
    if path != "/v1/moderations":
        assert any(name in error["message"] for name in served.engines)


@pytest.mark.parametrize("path", BODIES)
async def test_null_counts_as_not_given(served: Any, path: str) -> None:
    for name in BODIES[path]:
        response = await served.post(path, **{**BODIES[path], name: None})
        assert response.status_code in (200, 400, 404)
        if name != "model":
            assert error_of(response)["param"] in (name, "prompt")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ("Hi", "messages"),
        ([], "messages"),
        ([123], "messages.0"),
        ([{}], "messages.0"),
        ([{"role": "user"}], "messages.0.content"),
        ([{"role": "king", "content": "Hi"}], "messages.0"),
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
        ("stop", ["a", "b", "c", "d", "e"], "stop"),
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
        ("tools", [], "tools"),
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
        ("function_call", "auto"),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("reasoning_effort", "high"),
        ("verbosity", "low"),
        ("store", True),
        ("service_tier", "priority"),
        ("prompt_cache_retention", "24h"),
        ("moderation", {"model": "m"}),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
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
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"echo": True, "logprobs": 1}, "echo"),
    ],
)
async def test_completions_refuse_what_they_cannot_do(served: Any, fields: dict[str, Any], param: str) -> None:
    assert error_of(await served.post("/v1/completions", **COMPLETION, **fields))["param"] == param


async def test_a_prompt_over_the_context_is_refused_with_its_numbers(served: Any) -> None:
    for stream in (False, True):
        response = await served.post("/v1/chat/completions", **CHAT, max_tokens=100_000, stream=stream)
        error = error_of(response)
        assert error["code"] == "context_length_exceeded"
        assert "100000" in error["message"]
        assert "1024" in error["message"]


async def test_a_list_that_is_too_long_is_a_413(serving: Any) -> None:
    async with serving(max_list_items=3) as served:
        error = error_of(await served.post("/v1/sentiment", input=["a"] * 4), 413)
    assert error["param"] == "input"
    assert "4 items, at most 3" in error["message"]


async def test_a_body_that_is_too_large_is_a_413(serving: Any) -> None:
    async with serving(max_body_bytes=1000) as served:
        error_of(await served.post("/v1/sentiment", input="a" * 1000), 413)
        error_of(await served.post("/v1/sentiment", input="a" * 100_000), 413)
        assert (await served.post("/v1/sentiment", input="a" * 100)).status_code == 200


async def test_an_engines_failure_is_a_500_that_keeps_its_detail_for_the_log(served: Any, logged: Any) -> None:
    served.engines["sentiment"].fails = True
    response = await served.post("/v1/sentiment", input="Hi")
    assert error_of(response, 500)["code"] == "engine_failed"
    assert "secret" not in response.text
    assert logged()[-1]["detail"] == "the secret detail"


async def test_a_defect_is_a_500_without_internals(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("the secret detail")

    monkeypatch.setattr(served.services, "classifier", breaks)
    response = await served.post("/v1/sentiment", input="Hi")
    assert error_of(response, 500)["code"] == "internal_error"
    assert "secret" not in response.text
    assert response.headers["x-request-id"]
    assert served.metrics.value("http_requests_total", "/v1/sentiment", "POST", "500") == 1


async def test_a_full_queue_is_a_429_with_retry_after(served: Any) -> None:
    served.engines["assistant"].gate.clear()
    ask = partial(served.post, "/v1/completions", model="assistant", prompt=["a"] * 30)
    waiting = [asyncio.create_task(ask())]
    await asyncio.to_thread(served.engines["assistant"].began.wait)
    waiting += [asyncio.create_task(ask()), asyncio.create_task(ask())]
    while served.services.models["assistant"].batcher.waiting[1] < 60:
        await asyncio.sleep(0)
    response = await served.post("/v1/completions", model="assistant", prompt=["a"] * 30)
    error_of(response, 429)
    assert int(response.headers["retry-after"]) >= 1
    assert served.metrics.value("requests_rejected_total", "overloaded") == 1
    served.engines["assistant"].gate.set()
    assert [r.status_code for r in await asyncio.gather(*waiting)] == [200, 200, 200]


async def test_a_model_that_is_loading_is_a_503_with_retry_after(served: Any) -> None:
    served.engines["sentiment"].state = "loading"
    served.engines["sentiment"].reason = "The model is loading."
    response = await served.post("/v1/sentiment", input="Hi")
    assert error_of(response, 503)["code"] == "unavailable"
    assert int(response.headers["retry-after"]) >= 1


async def test_a_request_that_takes_too_long_is_a_504_nobody_repeats(serving: Any) -> None:
    async with serving(request_timeout_s=0.05) as served:
        served.engines["sentiment"].gate.clear()
        response = await served.post("/v1/sentiment", input="Hi")
        assert error_of(response, 504)["code"] == "deadline_passed"
        assert response.headers["x-should-retry"] == "false"
        assert served.services.models["sentiment"].batcher.waiting == (0, 0, 0)
