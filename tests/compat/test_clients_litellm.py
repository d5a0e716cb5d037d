"""litellm against a real server. Run by `make test-clients`: it wants another openai than the tests' own."""

import os
from typing import Any

import pytest

from tests.server_process import Served

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # read at import: it would ask the network for prices
WHY = "litellm is in the environment of `make test-clients` only"
litellm = pytest.importorskip("litellm", reason=WHY)

ASK: Any = [{"role": "user", "content": "I need a table for two in San Jose tomorrow at seven."}]


def place(server: Served, model: str) -> dict[str, Any]:
    return {"model": f"openai/{model}", "api_base": f"{server.url}/v1", "api_key": "none", "num_retries": 0}


def test_a_completion_streams_as_it_is_whole(server: Served) -> None:
    fields = {**place(server, "assistant"), "messages": ASK, "temperature": 0}
    whole = litellm.completion(**fields)
    text, usage = "", None
    for chunk in litellm.completion(**fields, stream=True, stream_options={"include_usage": True}):
        usage = getattr(chunk, "usage", None) or usage
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text == whole.choices[0].message.content
    assert usage.completion_tokens == whole.usage.completion_tokens


@pytest.mark.anyio
async def test_the_asynchronous_face_gets_the_same(server: Served) -> None:
    fields = {**place(server, "assistant"), "messages": ASK, "temperature": 0}
    assert (await litellm.acompletion(**fields)).choices[0].message.content == litellm.completion(**fields).choices[
        0
    ].message.content


def test_text_is_continued(server: Served) -> None:
    made = litellm.text_completion(**place(server, "assistant"), prompt="I would like to", max_tokens=4, temperature=0)
    assert made.choices[0].text
    assert made.usage.completion_tokens == 4


def test_texts_are_embedded(server: Served) -> None:
    made = litellm.embedding(**place(server, "embed"), input=["a dog", "a puppy"])
    assert [len(one["embedding"]) for one in made.data] == [384, 384]
    assert made.usage.prompt_tokens > 0


def test_a_refusal_is_its_bad_request(server: Served) -> None:
    with pytest.raises(litellm.BadRequestError, match="'temperature'"):
        litellm.completion(**place(server, "assistant"), messages=ASK, temperature=3)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_is_litellms_own_error(server: Served, stream: bool) -> None:
    """By which it falls back on a model with a longer context."""
    long: Any = [{"role": "user", "content": "hi " * 3000}]
    with pytest.raises(litellm.ContextWindowExceededError):
        litellm.completion(**place(server, "assistant"), messages=long, stream=stream)
