"""Completions of plain text, whole and as a stream."""

import json
from typing import Any

import pytest
from openai.types import Completion

pytestmark = pytest.mark.anyio


async def complete(served: Any, prompt: Any = "The sky", **fields: Any) -> dict[str, Any]:
    response = await served.post("/v1/completions", **{"model": "assistant", "prompt": prompt, **fields})
    assert response.status_code == 200, response.text
    Completion.model_validate(response.json(), strict=True)
    answer: dict[str, Any] = response.json()
    return answer


async def stream(served: Any, prompt: Any = "The sky", **fields: Any) -> list[dict[str, Any]]:
    body = {"model": "assistant", "prompt": prompt, "stream": True, **fields}
    response = await served.post("/v1/completions", **body)
    *lines, last = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert last == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    for chunk in chunks:
        # The package's type demands a finish reason, but OpenAI's own streams send null until the last chunk.
        filled = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
        Completion.model_validate({**chunk, "choices": filled}, strict=True)
    return chunks


def joined(chunks: list[dict[str, Any]], index: int = 0) -> str:
    return "".join(c["text"] for chunk in chunks for c in chunk["choices"] if c["index"] == index)


async def test_a_completion_has_openais_shape(served: Any) -> None:
    answer = await complete(served)
    assert answer["id"].startswith("cmpl-")
    assert answer["object"] == "text_completion"
    [choice] = answer["choices"]
    assert choice["text"].strip() == "Hello there, how are you?"
    assert choice["finish_reason"] == "stop"


async def test_sixteen_tokens_are_made_when_no_limit_is_given(served: Any) -> None:
    served.say("one two three four five", ends=False)
    assert (await complete(served))["usage"]["completion_tokens"] == 16


async def test_prompts_keep_their_order_and_number_their_choices(served: Any) -> None:
    answer = await complete(served, ["The sky", "Grass"], n=2, echo=True)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert [choice["text"].startswith("The sky") for choice in answer["choices"]] == [True, True, False, False]


async def test_token_ids_are_taken_as_they_are(served: Any) -> None:
    ids = served.tokenizers["assistant"].encode("The sky")
    assert (await complete(served, ids))["usage"]["prompt_tokens"] == len(ids)
    answer = await complete(served, [ids, ids[:1]])
    assert answer["usage"]["prompt_tokens"] == len(ids) + 1
    assert len(answer["choices"]) == 2


@pytest.mark.parametrize("fields", [{}, {"stop": ["how"]}, {"echo": True}, {"n": 2}])
async def test_the_streamed_text_is_the_whole_text(served: Any, fields: dict[str, Any]) -> None:
    whole = await complete(served, **fields)
    chunks = await stream(served, **fields)
    for choice in whole["choices"]:
        assert joined(chunks, choice["index"]) == choice["text"]


async def test_echo_begins_with_the_prompt_also_of_token_ids(served: Any) -> None:
    assert (await complete(served, echo=True))["choices"][0]["text"].startswith("The sky")
    ids = served.tokenizers["assistant"].encode("The sky")
    assert (await complete(served, ids, echo=True))["choices"][0]["text"].startswith("The sky")


@pytest.mark.parametrize("top", [0, 3])
async def test_logprobs_are_lists_of_one_length(served: Any, top: int) -> None:
    logprobs = (await complete(served, logprobs=top))["choices"][0]["logprobs"]
    assert len({len(logprobs[name]) for name in logprobs}) == 1
    for token, chosen, best in zip(*(logprobs[n] for n in ("tokens", "token_logprobs", "top_logprobs")), strict=True):
        assert best[token] == chosen
        assert max(top, 1) <= len(best) <= top + 1


@pytest.mark.parametrize("fields", [{}, {"stop": "how"}])
async def test_text_offsets_are_the_same_in_a_stream(served: Any, fields: dict[str, Any]) -> None:
    whole = (await complete(served, logprobs=0, **fields))["choices"][0]["logprobs"]
    parts = [c["logprobs"] for chunk in await stream(served, logprobs=0, **fields) for c in chunk["choices"]]
    for name in whole:
        assert [one for part in parts if part for one in part[name]] == whole[name]
    assert whole["text_offset"][0] == 0
    assert (await complete(served, logprobs=None))["choices"][0]["logprobs"] is None


async def test_the_best_of_several_are_sent_and_all_are_counted(served: Any) -> None:
    answer = await complete(served, n=1, best_of=3, max_tokens=4)
    assert [choice["index"] for choice in answer["choices"]] == [0]
    assert answer["usage"]["completion_tokens"] == 12
    assert answer["choices"][0]["logprobs"] is None


async def test_the_last_chunk_has_the_usage_when_asked(served: Any) -> None:
    *chunks, last = await stream(served, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"] == (await complete(served))["usage"]
    assert all(chunk["usage"] is None for chunk in chunks)
