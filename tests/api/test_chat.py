"""Chat completions: the contents of an answer, whole and as a stream."""

import asyncio
import json
import threading
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "Hi"}
TOOL = {
    "type": "function",
    "function": {
        "name": "book_table",
        "parameters": {"type": "object", "properties": {"people": {"type": "integer"}}, "required": ["people"]},
    },
}


async def chat(served: Any, **fields: Any) -> dict[str, Any]:
    response = await served.post("/v1/chat/completions", **{"model": "assistant", "messages": [USER], **fields})
    assert response.status_code == 200, response.text
    ChatCompletion.model_validate(response.json(), strict=True)
    answer: dict[str, Any] = response.json()
    return answer


async def stream(served: Any, **fields: Any) -> list[dict[str, Any]]:
    body = {"model": "assistant", "messages": [USER], "stream": True, **fields}
    response = await served.post("/v1/chat/completions", **body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *lines, last = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert last == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    return chunks


def text_of(chunks: list[dict[str, Any]], index: int = 0) -> str:
    parts = [c for chunk in chunks for c in chunk["choices"] if c["index"] == index]
    return "".join(part["delta"].get("content") or "" for part in parts)


def reasons(chunks: list[dict[str, Any]]) -> list[str]:
    return [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]


async def test_an_answer_has_openais_shape(served: Any) -> None:
    answer = await chat(served)
    assert answer["id"].startswith("chatcmpl-")
    assert answer["model"] == "assistant"
    [choice] = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello there, how are you?", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert choice["logprobs"] is None
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_the_streamed_text_is_the_whole_text(served: Any) -> None:
    whole = await chat(served)
    chunks = await stream(served)
    assert text_of(chunks) == whole["choices"][0]["message"]["content"]
    assert reasons(chunks) == ["stop"]


async def test_all_chunks_of_a_stream_have_one_id_time_and_model(served: Any) -> None:
    chunks = await stream(served)
    assert len({(c["id"], c["created"], c["model"], c["object"], c["system_fingerprint"]) for c in chunks}) == 1


@pytest.mark.parametrize("text", ["Hello there", ""])
async def test_only_the_first_chunk_has_the_role(served: Any, text: str) -> None:
    served.say(text)
    first, *rest = await stream(served)
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert not [c for chunk in rest for c in chunk["choices"] if "role" in c["delta"]]


async def test_the_finish_reason_comes_once_and_last(served: Any) -> None:
    chunks = await stream(served)
    assert [bool(chunk["choices"][0]["finish_reason"]) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_the_token_limit_is_met_exactly(served: Any, name: str) -> None:
    answer = await chat(served, **{name: 3})
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


async def test_usage_is_streamed_only_when_asked_for(served: Any) -> None:
    assert not [chunk for chunk in await stream(served) if "usage" in chunk]
    *chunks, last = await stream(served, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last["choices"] == []
    assert last["usage"] == (await chat(served))["usage"]


async def test_usage_in_every_chunk_counts_up(served: Any) -> None:
    chunks = await stream(served, stream_options={"include_usage": True, "continuous_usage_stats": True})
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[-1] == (await chat(served))["usage"]["completion_tokens"]


async def test_several_choices_have_their_indexes_and_reasons(served: Any) -> None:
    answer = await chat(served, n=3)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    chunks = await stream(served, n=3)
    assert reasons(chunks) == ["stop"] * 3
    assert [text_of(chunks, i) for i in range(3)] == ["Hello there, how are you?"] * 3
    assert len([c for chunk in chunks for c in chunk["choices"] if "role" in c["delta"]]) == 3


async def test_a_stop_string_is_cut_off_and_never_leaks_into_a_stream(served: Any) -> None:
    answer = await chat(served, stop=["how"])
    assert answer["choices"][0]["message"]["content"] == "Hello there, "
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert text_of(await stream(served, stop=["how"])) == "Hello there, "


@pytest.mark.parametrize("top", [0, 2])
async def test_logprobs_spell_the_content(served: Any, top: int) -> None:
    answer = await chat(served, logprobs=True, top_logprobs=top)
    tokens = answer["choices"][0]["logprobs"]["content"]
    spelt = b"".join(bytes(token["bytes"]) for token in tokens).decode()
    assert spelt.strip() == answer["choices"][0]["message"]["content"]
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == top for token in tokens)
    chunks = await stream(served, logprobs=True, top_logprobs=top)
    parts = [c["logprobs"] for chunk in chunks for c in chunk["choices"]]
    assert [token for part in parts if part for token in part["content"]] == tokens


async def test_text_parts_are_the_joined_text(served: Any) -> None:
    parts = [{"type": "text", "text": "Good "}, {"type": "text", "text": "morning"}]
    whole = await chat(served, messages=[{"role": "user", "content": "Good morning"}])
    joined = await chat(served, messages=[{"role": "user", "content": parts}])
    assert joined["usage"] == whole["usage"]


def say_a_call(served: Any) -> None:
    tokenizer = served.tokenizers["assistant"]
    ids = [tokenizer.id("<|call|>"), *tokenizer.encode("book_table"), tokenizer.id("<|arg|>")]
    ids += [*tokenizer.encode("people"), tokenizer.id("<|value|>"), *tokenizer.encode("2"), tokenizer.id("<|end|>")]
    served.engines["assistant"].script = ids


async def test_a_call_of_a_tool_comes_back_parsed(served: Any) -> None:
    say_a_call(served)
    [choice] = (await chat(served, tools=[TOOL]))["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"].startswith("call_")
    assert call["function"]["name"] == "book_table"
    assert json.loads(call["function"]["arguments"]) == {"people": 2}


async def test_a_streamed_call_is_the_whole_call(served: Any) -> None:
    say_a_call(served)
    chunks = await stream(served, tools=[TOOL])
    [call] = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls") or []]
    assert call["index"] == 0
    assert json.loads(call["function"]["arguments"]) == {"people": 2}
    assert reasons(chunks) == ["tool_calls"]


async def test_without_tools_there_are_no_calls(served: Any) -> None:
    say_a_call(served)
    for fields in ({}, {"tools": [TOOL], "tool_choice": "none"}):
        [choice] = (await chat(served, **fields))["choices"]
        assert "tool_calls" not in choice["message"]
        assert choice["finish_reason"] == "stop"


async def test_a_conversation_with_calls_and_results_goes_back_in(served: Any) -> None:
    say_a_call(served)
    message = (await chat(served, tools=[TOOL]))["choices"][0]["message"]
    served.say("Done.")
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": '{"ok": true}'}
    answer = await chat(served, messages=[USER, message, result], tools=[TOOL])
    assert answer["choices"][0]["message"]["content"] == "Done."


async def test_a_translator_translates_the_last_user_message(served: Any) -> None:
    messages = [{"role": "system", "content": "Translate to German."}, {"role": "user", "content": "good morning"}]
    answer = await chat(served, model="translate", messages=messages)
    assert answer["choices"][0]["message"]["content"] == "good morning"  # the scripted translator gives it back
    chunks = await stream(served, model="translate", messages=messages)
    assert text_of(chunks) == "good morning"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "word " * 4000}]}),
        ("/v1/responses", {"input": "word " * 4000}),
        ("/v1/completions", {"prompt": "word " * 4000}),
    ],
)
async def test_others_are_answered_while_a_long_prompt_is_tokenised(
    served: Any, until: Any, monkeypatch: pytest.MonkeyPatch, path: str, text: Any
) -> None:
    tokenizer = served.tokenizers["assistant"]
    encode, began, answered = tokenizer.encode, threading.Event(), threading.Event()

    def held(plain: str) -> Any:
        began.set()
        assert answered.wait(5), "nothing else was answered meanwhile"
        return encode(plain)

    monkeypatch.setattr(tokenizer, "encode", held)
    asking = asyncio.create_task(served.post(path, model="assistant", **text))
    await until(began.is_set)
    assert (await served.http.get("/health")).status_code == 200
    answered.set()
    assert (await asking).json()["error"]["code"] == "context_length_exceeded"


async def test_a_translator_keeps_to_the_limit_of_tokens(served: Any) -> None:
    said = "Translate to German: Where is the station? I have a dog. It is late now."
    messages = [{"role": "user", "content": said}]
    whole = await chat(served, model="translate", messages=messages, max_tokens=100)
    text = whole["choices"][0]["message"]["content"]
    assert text.startswith("Where is the station?")
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] <= 100
    tokenizer = served.tokenizers["translate"]
    for limit in (1, 4, 9):
        cut = await chat(served, model="translate", messages=messages, max_tokens=limit)
        begin = cut["choices"][0]["message"]["content"]
        assert cut["choices"][0]["finish_reason"] == "length"
        assert text.startswith(begin.strip())
        assert 0 < len(tokenizer.encode(begin)) <= limit
        assert cut["usage"]["completion_tokens"] == limit
        chunks = await stream(served, model="translate", messages=messages, max_tokens=limit)
        assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == begin
        assert reasons(chunks) == ["length"]
