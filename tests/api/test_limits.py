"""`max_tokens` is an upper bound: a limit above the free context is no error, and only a prompt can be too long."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

CONTEXT = 1024
ROUTES: dict[str, tuple[dict[str, Any], str, str]] = {
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": "Hi"}]}, "max_tokens", "messages"),
    "/v1/completions": ({"prompt": "Hi"}, "max_tokens", "prompt"),
    "/v1/responses": ({"input": "Hi"}, "max_output_tokens", "input"),
}
LONG = "hi " * 3000


def long(body: dict[str, Any]) -> dict[str, Any]:
    """The same request with a text that is too long."""
    if "messages" in body:
        return {"messages": [{"role": "user", "content": LONG}]}
    return dict.fromkeys(body, LONG)


def ended_by(answer: dict[str, Any]) -> str:
    if "choices" in answer:
        return str(answer["choices"][0]["finish_reason"])
    return {"max_output_tokens": "length"}[answer["incomplete_details"]["reason"]]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("asked", [CONTEXT, 32_000, 2**31 - 1])
async def test_a_limit_beyond_the_room_is_answered_up_to_the_room(served: Any, path: str, asked: int) -> None:
    body, limit, _ = ROUTES[path]
    served.say("on and on ", ends=False)
    response = await served.post(path, model="assistant", **body, **{limit: asked})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["usage"]["total_tokens"] == CONTEXT
    assert ended_by(answer) == "length"


async def test_both_names_of_the_limit_in_chat_are_answered(served: Any) -> None:
    body = ROUTES["/v1/chat/completions"][0]
    for limit in ("max_tokens", "max_completion_tokens"):
        assert (await served.post("/v1/chat/completions", model="assistant", **body, **{limit: 4096})).is_success


@pytest.mark.parametrize("path", ROUTES)
async def test_minus_one_is_no_limit(served: Any, path: str) -> None:
    body, limit, _ = ROUTES[path]
    served.say("on and on ", ends=False)
    response = await served.post(path, model="assistant", **body, **{limit: -1})
    assert response.json()["usage"]["total_tokens"] == CONTEXT


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("limited", [False, True])
async def test_a_prompt_that_leaves_no_room_is_blamed_in_openais_words(served: Any, path: str, limited: bool) -> None:
    body, limit, field = ROUTES[path]
    for stream in (False, True):
        more = {limit: 50} if limited else {}
        response = await served.post(path, model="assistant", stream=stream, **long(body), **more)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", field)
        # LiteLLM and CrewAI look for these words, in lower case.
        assert f"this model's maximum context length is {CONTEXT} tokens. however, " in error["message"].lower()
        assert f"reduce the length of the {field}" in error["message"]


async def test_a_prompt_that_leaves_room_for_one_token_gets_one(served: Any) -> None:
    served.say("on and on ", ends=False)
    for length, status in ((CONTEXT - 1, 200), (CONTEXT, 400)):
        response = await served.post("/v1/completions", model="assistant", prompt=[5] * length, max_tokens=8)
        assert response.status_code == status


async def test_tokens_that_have_to_be_made_and_cannot_are_refused(served: Any) -> None:
    body = {"model": "assistant", **ROUTES["/v1/chat/completions"][0]}
    for fields in ({"min_tokens": 2000, "max_tokens": 3000}, {"min_tokens": 9, "max_tokens": 8}):
        error = (await served.post("/v1/chat/completions", **body, **fields)).json()["error"]
        assert error["param"] == "min_tokens"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_sixteen_stop_strings_stop_and_more_are_told_the_limit(served: Any, path: str) -> None:
    body = ROUTES[path][0]
    stops = [f"never {i}" for i in range(15)] + ["there"]
    answer = (await served.post(path, model="assistant", **body, stop=stops)).json()
    choice = answer["choices"][0]
    assert (choice.get("text") or choice["message"]["content"]).strip() == "Hello"
    error = (await served.post(path, model="assistant", **body, stop=[*stops, "x"])).json()["error"]
    assert error["param"] == "stop"
    assert "16" in error["message"]
    assert "string" not in error["message"]


async def test_a_bias_for_a_token_there_is_not_is_told_how_many_there_are(served: Any) -> None:
    size = served.tokenizers["assistant"].vocab_size
    for path in ("/v1/chat/completions", "/v1/completions"):
        for id in (size, 99_999_999):
            bias = {"5": -1, str(id): 100}
            error = (await served.post(path, model="assistant", **ROUTES[path][0], logit_bias=bias)).json()["error"]
            assert error["param"] == "logit_bias"
            assert str(id) in error["message"]
            assert str(size - 1) in error["message"]
        taken = await served.post(path, model="assistant", **ROUTES[path][0], logit_bias={str(size - 1): -1})
        assert taken.status_code == 200
