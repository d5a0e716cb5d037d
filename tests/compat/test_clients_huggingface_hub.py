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


def test_features_are_vectors(server: Served) -> None:
    client = InferenceClient(model=f"{server.url}/embed")
    one = client.feature_extraction("I like tea.", truncate=True, truncation_direction="right")
    several = client.feature_extraction(["I like tea.", "Where is my parcel?"], normalize=False)  # type: ignore[arg-type]
    assert (one.shape, several.shape) == ((1, 384), (2, 384))
    assert (one[0] ** 2).sum() == pytest.approx(1, abs=1e-4)
    assert (several[0] ** 2).sum() > 2
    per_token = InferenceClient(model=f"{server.url}/embed_all").feature_extraction("I like tea.")
    assert per_token.shape == (1, 6, 384)


def test_sentences_are_compared(server: Served) -> None:
    client = InferenceClient(model=f"{server.url}/similarity")
    near, far = client.sentence_similarity(
        "Where is my parcel?", other_sentences=["My package is late.", "I like tea."]
    )
    assert near > far


def test_what_cannot_be_done_is_refused_by_name(server: Served) -> None:
    with pytest.raises(HfHubHTTPError, match="top_k"):
        InferenceClient(model=f"{server.url}/predict").text_classification("I love this place.", top_k=2)


def test_a_chat_streams_as_it_is_whole(server: Served) -> None:
    client = InferenceClient(base_url=f"{server.url}/v1", api_key="none")
    asked = {"messages": [{"role": "user", "content": "I need a taxi."}], "model": "assistant", "temperature": 0}
    whole = client.chat_completion(**asked).choices[0].message.content
    parts = client.chat_completion(**asked, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == whole
