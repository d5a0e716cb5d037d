"""langchain-openai against a real server. Run by `make test-clients`: it wants another openai than the tests' own."""

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from tests.server_process import Served

WHY = "langchain-openai is in the environment of `make test-clients` only"
langchain_openai = pytest.importorskip("langchain_openai", reason=WHY)

ASK = "I need a table for two in San Jose tomorrow at seven."


class Booking(BaseModel):
    """What a reservation needs."""

    city: str = Field(max_length=20)
    guests: int = Field(ge=1, le=12)
    seating: Literal["indoors", "outdoors"]


def cancel(reason: Literal["ill", "late"]) -> str:
    """Cancel a reservation."""
    return reason


def chat(server: Served, **kwargs: Any) -> Any:
    return langchain_openai.ChatOpenAI(
        model="assistant", base_url=f"{server.url}/v1", api_key="none", temperature=0, max_retries=0, **kwargs
    )


@pytest.mark.parametrize("responses", [False, True])
def test_an_answer_streams_as_it_is_whole(server: Served, responses: bool) -> None:
    model = chat(server, use_responses_api=responses)
    whole = model.invoke(ASK)
    parts = list(model.stream(ASK))
    assert "".join(part.text for part in parts) == whole.text
    assert whole.text
    assert whole.usage_metadata["output_tokens"] > 0


def test_a_batch_is_answered_in_order(server: Served) -> None:
    asked = ["Hello.", "I need a taxi.", "Cancel my booking."]
    assert [one.text for one in chat(server).batch(asked)] == [chat(server).invoke(one).text for one in asked]


@pytest.mark.parametrize("responses", [False, True])
def test_a_tool_is_called_and_its_result_read(server: Served, responses: bool) -> None:
    model = chat(server, use_responses_api=responses)
    made = model.bind_tools([cancel], tool_choice="required", strict=True, parallel_tool_calls=False).invoke(
        "I am ill, cancel."
    )
    (call,) = made.tool_calls
    assert call["name"] == "cancel"
    assert call["args"]["reason"] in ("ill", "late")
    result = {"role": "tool", "content": json.dumps({"done": True}), "tool_call_id": call["id"]}
    after = model.bind_tools([cancel]).invoke([("user", "I am ill, cancel."), made, result])
    assert after.text or after.tool_calls


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_of_the_class(server: Served, method: str) -> None:
    assert isinstance(chat(server).with_structured_output(Booking, method=method, strict=True).invoke(ASK), Booking)


def test_embeddings_are_those_of_the_server(server: Served) -> None:
    # Its own token ids would be those of another tokenizer: it is to send text.
    model = langchain_openai.OpenAIEmbeddings(
        model="embed", base_url=f"{server.url}/v1", api_key="none", check_embedding_ctx_length=False
    )
    vectors = model.embed_documents(["a dog", "a puppy", "tax law"])
    near, far = (sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:])
    assert near > far
    assert model.embed_query("a dog") == pytest.approx(vectors[0], abs=1e-3)


def test_huggingfaces_endpoint_embeddings_run(server: Served) -> None:
    from huggingface_hub import InferenceClient
    from langchain_huggingface import HuggingFaceEndpointEmbeddings

    embeddings = HuggingFaceEndpointEmbeddings(model="embed", huggingfacehub_api_token="none")  # noqa: S106  no key
    embeddings.client = InferenceClient(model=f"{server.url}/embed")  # newer versions take no address as their model
    tea, parcel = embeddings.embed_documents(["I like tea.", "Where is my parcel?"])
    asked = embeddings.embed_query("My package is late.")
    assert len(asked) == 384
    assert sum(a * b for a, b in zip(asked, parcel, strict=True)) > sum(a * b for a, b in zip(asked, tea, strict=True))
