"""The server cuts inputs if a request asks for it, and the usage counts the tokens that the model read."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

LONG = "All good things come to those who wait for them. " * 60
SHORT = "All good things come."


async def embedded(served: Any, **body: Any) -> tuple[list[float], int]:
    response = await served.post("/v1/embeddings", model="embed", **body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"]
    return answer["data"][0]["embedding"], answer["usage"]["prompt_tokens"]


async def test_a_cut_text_has_the_vector_of_what_is_left_of_it(served: Any) -> None:
    row = served.tokenizers["embed"].encode_row(SHORT)
    whole = await embedded(served, input=SHORT)
    assert whole[1] == len(row)
    assert await embedded(served, input=f"{SHORT} {SHORT} {SHORT}", truncate_prompt_tokens=len(row)) == whole
    last = await embedded(served, input=f"{LONG} {SHORT}", truncate_prompt_tokens=len(row), truncation_side="left")
    assert last == whole


async def test_minus_one_reads_as_much_as_the_model_does(served: Any) -> None:
    context = served.registry.models["embed"].card.context_length_tokens
    refused = await served.post("/v1/embeddings", model="embed", input=LONG)
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    assert f"maximum context length is {context} tokens" in refused.json()["error"]["message"]
    vector, tokens = await embedded(served, input=LONG, truncate_prompt_tokens=-1)
    assert tokens == context
    assert (vector, tokens) == await embedded(served, input=LONG, truncate_prompt_tokens=context)
    assert (await embedded(served, input=[SHORT, LONG], truncate_prompt_tokens=-1))[1] > context


async def test_ids_are_cut_as_they_are(served: Any) -> None:
    ids = served.tokenizers["embed"].encode_row(LONG)
    assert await embedded(served, input=ids, truncate_prompt_tokens=9) == await embedded(served, input=ids[:9])
    left = await embedded(served, input=[ids], truncate_prompt_tokens=9, truncation_side="left")
    assert left == await embedded(served, input=ids[-9:])


@pytest.mark.parametrize("tokens", [-2, 0, 1, 2, 100_000, 1.5, "5"])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/classify"])
async def test_a_cut_that_leaves_nothing_or_more_than_the_model_reads_is_refused(
    served: Any, path: str, tokens: Any
) -> None:
    response = await served.post(path, input="Hi", truncate_prompt_tokens=tokens)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "truncate_prompt_tokens"


async def test_classify_reads_the_cut_text_alone(served: Any) -> None:
    row = served.tokenizers["sentiment"].encode_row(SHORT)
    whole = (await served.post("/classify", input=SHORT)).json()
    cut = (await served.post("/classify", input=f"{SHORT} {LONG}", truncate_prompt_tokens=len(row))).json()
    assert cut["data"] == whole["data"]
    assert cut["usage"]["prompt_tokens"] == len(row)


async def test_predict_takes_truncate(served: Any) -> None:
    plain = await served.post("/predict", inputs=SHORT)
    for fields in ({"truncate": True}, {"truncate": False}, {"truncate": True, "truncation_direction": "Left"}):
        assert (await served.post("/predict", inputs=SHORT, **fields)).json() == plain.json()
    chunked = (await served.post("/predict", inputs=LONG)).json()
    right = (await served.post("/predict", inputs=LONG, truncate=True)).json()
    left = (await served.post("/predict", inputs=LONG, truncate=True, truncation_direction="Left")).json()
    assert chunked != right != left
    assert (await served.post("/predict", inputs=[[SHORT], [LONG]], truncate=True)).json()[1] == right
