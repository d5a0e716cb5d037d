"""Every error on every route has the one shape, the right status and the name of the field."""

import asyncio
import json
import re
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


@pytest.mark.parametrize("path", ["/nix", "/v1", "/v1/", "/v1/models/", "/v1/chat", "/docs/"])
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


async def test_a_prompt_over_the_context_is_refused_with_its_numbers(served: Any) -> None:
    for stream in (False, True):
        messages = [{"role": "user", "content": "hi " * 3000}]
        response = await served.post("/v1/chat/completions", model="assistant", messages=messages, stream=stream)
        error = error_of(response)
        assert error["code"] == "context_length_exceeded"
        assert "1024 tokens" in error["message"]
        assert re.search(r"\d{4} in the messages, 1 in the completion", error["message"])


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

    monkeypatch.setattr(served.registry, "classifier", breaks)
    response = await served.post("/v1/sentiment", input="Hi")
    assert error_of(response, 500)["code"] == "internal_error"
    assert "secret" not in response.text
    assert response.headers["x-request-id"]
    assert served.metrics.value("http_requests_total", "/v1/sentiment", "POST", "500") == 1


async def test_a_full_queue_is_a_429_with_retry_after(served: Any, until: Any) -> None:
    served.engines["assistant"].gate.clear()
    ask = partial(served.post, "/v1/completions", model="assistant", prompt=["a"] * 30)
    waiting = [asyncio.create_task(ask())]
    await asyncio.to_thread(served.engines["assistant"].began.wait)
    waiting += [asyncio.create_task(ask()), asyncio.create_task(ask())]
    await until(lambda: served.registry.models["assistant"].batcher.waiting[1] == 60)
    response = await served.post("/v1/completions", model="assistant", prompt=["a"] * 30)
    error_of(response, 429)
    assert int(response.headers["retry-after"]) >= 1
    assert served.metrics.value("requests_rejected_total", "overloaded") == 1
    served.engines["assistant"].gate.set()
    assert [r.status_code for r in await asyncio.gather(*waiting)] == [200, 200, 200]


async def test_a_model_that_has_failed_is_a_503_with_retry_after(served: Any) -> None:
    served.engines["sentiment"].state = "failed"
    served.engines["sentiment"].reason = "The model's engine does not start."
    response = await served.post("/v1/sentiment", input="Hi")
    assert error_of(response, 503)["code"] == "unavailable"
    assert int(response.headers["retry-after"]) >= 1


async def test_a_request_that_takes_too_long_is_a_504_nobody_repeats(serving: Any) -> None:
    async with serving(request_timeout_s=0.05) as served:
        served.engines["sentiment"].gate.clear()
        response = await served.post("/v1/sentiment", input="Hi")
        assert error_of(response, 504)["code"] == "deadline_passed"
        assert response.headers["x-should-retry"] == "false"
        assert served.registry.models["sentiment"].batcher.waiting == (0, 0, 0)


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-Infinity"])
async def test_numbers_that_are_none_are_refused_wherever_they_are(served: Any, odd: str) -> None:
    raw = json.dumps({**CHAT, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": 0}}}]})
    response = await served.http.post(
        "/v1/chat/completions",
        content=raw.replace('"x": 0', f'"x": {odd}'),
        headers={"content-type": "application/json"},
    )
    assert "JSON" in error_of(response)["message"]
