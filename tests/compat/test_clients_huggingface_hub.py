"""huggingface_hub's client for inference against a real server."""

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.server_process import Served


@pytest.mark.parametrize(("text", "label"), [("I love this place.", "positive"), ("The room was dirty.", "negative")])
def test_a_text_is_classified(server: Served, text: str, label: str) -> None:
    # Like text-embeddings-inference, the server returns a flat list, and this client takes the first item.
    found = InferenceClient(model=f"{server.url}/predict").text_classification(text)
    assert isinstance(found, dict)
    assert found["label"] == label
    assert 0.5 < found["score"] <= 1


def test_what_cannot_be_done_is_refused_by_name(server: Served) -> None:
    with pytest.raises(HfHubHTTPError, match="top_k"):
        InferenceClient(model=f"{server.url}/predict").text_classification("I love this place.", top_k=2)


def test_a_chat_streams_as_it_is_whole(server: Served) -> None:
    client = InferenceClient(base_url=f"{server.url}/v1", api_key="none")
    asked = {"messages": [{"role": "user", "content": "I need a taxi."}], "model": "assistant", "temperature": 0}
    whole = client.chat_completion(**asked).choices[0].message.content
    parts = client.chat_completion(**asked, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == whole
