"""Counting tokens before sending."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("model", ["assistant", "translate", "sentiment", "embed"])
async def test_any_models_tokens_can_be_counted_and_read_back(served: Any, model: str) -> None:
    told = (await served.post("/tokenize", model=model, prompt="good morning", return_token_strs=True)).json()
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"]) > 0
    assert told["max_model_len"] >= 128
    read = (await served.post("/detokenize", model=model, tokens=told["tokens"])).json()
    assert "good morning" in read["prompt"]


async def test_the_count_of_a_chat_is_its_prompt_tokens(served: Any) -> None:
    messages = [{"role": "user", "content": "Good morning."}]
    told = (await served.post("/tokenize", model="assistant", messages=messages)).json()
    answer = (await served.post("/v1/chat/completions", model="assistant", messages=messages)).json()
    assert told["count"] == answer["usage"]["prompt_tokens"]
    assert told["token_strs"] is None


async def test_special_tokens_can_be_left_out(served: Any) -> None:
    full = (await served.post("/tokenize", model="embed", prompt="a")).json()
    bare = (await served.post("/tokenize", model="embed", prompt="a", add_special_tokens=False)).json()
    assert bare["count"] == full["count"] - 2


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "prompt"),
        ("/tokenize", {"prompt": "a", "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ("/tokenize", {"prompt": 1}, "prompt"),
        ("/detokenize", {"tokens": [10**7]}, "tokens"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
        ("/detokenize", {"tokens": [1.5]}, "tokens"),
    ],
)
async def test_what_cannot_be_counted_is_refused(served: Any, path: str, fields: dict[str, Any], param: str) -> None:
    response = await served.post(path, model="assistant", **fields)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


async def test_a_chat_is_counted_by_chat_models_only(served: Any) -> None:
    body = {"model": "embed", "messages": [{"role": "user", "content": "a"}]}
    assert (await served.post("/tokenize", **body)).status_code == 404


async def test_a_client_that_writes_prompts_itself_is_told_how(served: Any) -> None:
    told = (await served.http.get("/tokenizer_info", params={"model": "assistant"})).json()
    assert (told["bos_token"], told["eos_token"], told["model_max_length"]) == ("<s>", "<|end|>", 1024)
    assert "<|assistant|>" in told["chat_template"]
    assert (await served.http.get("/tokenizer_info")).json() == told
    assert (await served.http.get("/tokenizer_info", params={"model": "nothing"})).status_code == 404
