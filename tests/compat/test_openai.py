"""The official OpenAI client for Python against a real server: answers and streams."""

import asyncio
import base64
import re
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.server_process import LIMIT_S, Served

ASK: Any = [{"role": "user", "content": "Hello, how are you?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "reserve_restaurant",
            "description": "Reserve a table.",
            "parameters": {
                "type": "object",
                "properties": {"people": {"type": "integer"}, "time": {"type": "string"}},
                "required": ["people", "time"],
            },
        },
    }
]


def strict(answer: Any, kind: Any) -> None:
    """The client builds its objects without checking them: check."""
    kind.model_validate(answer.model_dump(exclude_unset=True), strict=True)


def test_chat_answers(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="assistant", messages=ASK, temperature=0, max_tokens=24)
    strict(answer, ChatCompletion)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 24


def test_a_chat_stream_is_the_answer(client: OpenAI) -> None:
    fields: Any = {"model": "assistant", "messages": ASK, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**fields)
    text, reasons, usage = "", [], None
    for chunk in client.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}):
        strict(chunk, ChatCompletionChunk)
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons.append(choice.finish_reason)
    assert text == whole.choices[0].message.content
    assert [reason for reason in reasons if reason] == [whole.choices[0].finish_reason]
    counted = (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == counted


def test_the_clients_own_stream_helper_puts_the_answer_together(client: OpenAI) -> None:
    # Without a limit: the helper raises where one is met.
    with client.chat.completions.stream(model="assistant", messages=ASK, temperature=0) as stream:
        seen = [event.type for event in stream]
        final = stream.get_final_completion()
    whole = client.chat.completions.create(model="assistant", messages=ASK, temperature=0)
    assert "content.delta" in seen
    assert final.choices[0].message.content == whole.choices[0].message.content


def test_an_answer_goes_back_in_as_the_client_holds_it(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="assistant", messages=ASK, temperature=0, max_tokens=24)
    messages = [*ASK, answer.choices[0].message, {"role": "user", "content": "At seven, please."}]
    again = client.chat.completions.create(model="assistant", messages=messages, temperature=0, max_tokens=24)
    assert again.usage is not None
    assert answer.usage is not None
    assert again.usage.prompt_tokens > answer.usage.prompt_tokens


def test_tools_may_be_given(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="assistant", messages=ASK, tools=TOOLS, temperature=0, max_tokens=48)
    strict(answer, ChatCompletion)
    choice = answer.choices[0]
    assert choice.finish_reason in ("stop", "tool_calls", "length")
    assert bool(choice.message.tool_calls) is (choice.finish_reason == "tool_calls")


def test_a_translator_chats(client: OpenAI) -> None:
    messages: Any = [{"role": "system", "content": "German"}, {"role": "user", "content": "Good morning."}]
    answer = client.chat.completions.create(model="translate", messages=messages)
    strict(answer, ChatCompletion)
    assert answer.choices[0].message.content
    chunks = list(client.chat.completions.create(model="translate", messages=messages, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == answer.choices[0].message.content


def test_completions_answer_and_stream(client: OpenAI) -> None:
    fields: Any = {"model": "assistant", "prompt": ["Good", "Please"], "temperature": 0, "max_tokens": 8}
    whole = client.completions.create(**fields)
    strict(whole, Completion)
    texts = ["", ""]
    for chunk in client.completions.create(**fields, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [choice.text for choice in whole.choices]


def test_embeddings_are_unit_vectors_in_order(client: OpenAI) -> None:
    answer = client.embeddings.create(model="embed", input=["A cat sleeps.", "Stocks fell.", "A cat sleeps."])
    strict(answer, CreateEmbeddingResponse)
    vectors = np.array([item.embedding for item in answer.data])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert vectors[0] @ vectors[2] == pytest.approx(1, abs=1e-3)
    assert vectors[0] @ vectors[1] < 0.5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens
    alone = client.embeddings.create(model="embed", input="Stocks fell.")
    assert np.array(alone.data[0].embedding) @ vectors[1] == pytest.approx(1, abs=1e-3)


def test_base64_is_the_float_form(client: OpenAI) -> None:
    floats = client.embeddings.create(model="embed", input="A cat.", encoding_format="float")
    # The raw answer: asked for base64 by name, the client hands it on as it is.
    raw = client.embeddings.create(model="embed", input="A cat.", encoding_format="base64")
    decoded = np.frombuffer(base64.b64decode(str(raw.data[0].embedding)), "<f4")
    assert decoded == pytest.approx(floats.data[0].embedding, abs=1e-6)


def test_embeddings_of_token_ids(client: OpenAI, server: Served) -> None:
    with server.client() as http:
        told = http.post("/tokenize", json={"model": "embed", "prompt": "A cat."}).json()
    by_ids = client.embeddings.create(model="embed", input=[told["tokens"]])
    by_text = client.embeddings.create(model="embed", input="A cat.")
    assert by_ids.usage.prompt_tokens == by_text.usage.prompt_tokens == told["count"]
    assert by_ids.data[0].embedding == pytest.approx(by_text.data[0].embedding, abs=1e-5)


def test_models_are_listed(client: OpenAI) -> None:
    models = client.models.list().data
    assert {"assistant", "translate", "sentiment", "embed"} <= {model.id for model in models}
    for model in models:
        strict(model, Model)
        assert shown(client.models.retrieve(model.id)) == shown(model)


def shown(model: Model) -> dict[str, Any]:
    """A model's fields without its memory, which the server measures anew at each call."""
    return model.model_dump(exclude={"memory_bytes"})


def test_raw_answers_have_the_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="assistant", messages=ASK, max_tokens=4)
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert raw.headers["openai-processing-ms"]
    assert float(raw.headers["x-inference-time"]) > 0


@pytest.mark.anyio
async def test_the_asynchronous_client_answers_and_streams(async_client: AsyncOpenAI) -> None:
    fields: Any = {"model": "assistant", "messages": ASK, "temperature": 0, "max_tokens": 16}
    wholes = await asyncio.gather(*(async_client.chat.completions.create(**fields) for _ in range(4)))
    assert len({whole.choices[0].message.content for whole in wholes}) == 1
    stream = await async_client.chat.completions.create(**fields, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == wholes[0].choices[0].message.content


@pytest.mark.anyio
async def test_after_two_hundred_abandoned_requests_nobody_computes_for_them(
    async_client: AsyncOpenAI, server: Served
) -> None:
    hasty = async_client.with_options(timeout=0.05)
    fields: Any = {"model": "assistant", "messages": ASK, "max_tokens": 900, "extra_body": {"ignore_eos": True}}
    asks = (hasty.chat.completions.create(**fields) for _ in range(200))
    outcomes = await asyncio.gather(*asks, return_exceptions=True)
    assert all(isinstance(one, openai.APITimeoutError | openai.APIConnectionError) for one in outcomes if one)
    assert any(isinstance(one, Exception) for one in outcomes)
    await async_client.chat.completions.create(model="assistant", messages=ASK, max_tokens=4)
    made = re.compile(r'^hearth_generation_tokens_total\{model="assistant"\} (\S+)$', re.MULTILINE)
    async with httpx.AsyncClient(base_url=server.url) as http, asyncio.timeout(LIMIT_S):
        while 'hearth_num_requests_running{model="assistant"} 0.0' not in (text := (await http.get("/metrics")).text):
            pass  # another process has no event to await
    found = made.search(text)
    assert found is not None
    assert float(found[1]) < 200 * 900 / 4, "they were worked off to their ends"
