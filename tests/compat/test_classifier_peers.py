"""Text-embeddings-inference's and vLLM's classifier routes."""

from collections.abc import Iterator

import httpx
import pytest

from tests.server_process import serving


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving("--models", "sentiment") as served, served.client() as client:
        yield client


def test_predict_gives_a_text_its_labels_likeliest_first(client: httpx.Client) -> None:
    answer = client.post("/predict", json={"inputs": "I love it."}).json()
    assert answer[0]["label"] == "positive"
    assert [row["score"] for row in answer] == sorted((row["score"] for row in answer), reverse=True)
    assert len(answer) == 3


def test_predict_takes_a_batch(client: httpx.Client) -> None:
    answer = client.post("/predict", json={"inputs": [["I love it."], ["I hate it."]]}).json()
    assert [rows[0]["label"] for rows in answer] == ["positive", "negative"]


@pytest.mark.parametrize("inputs", [["a", "b"], [], [["a", "b"]], 5, [[]], None, {"a": 1}])
def test_predict_refuses_what_it_cannot_score(client: httpx.Client, inputs: object) -> None:
    answer = client.post("/predict", json={"inputs": inputs})
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "Validation"


def test_predict_truncates_where_it_is_asked_to(client: httpx.Client) -> None:
    begins, ends = "I love it. " * 80, "I hate it. " * 80
    for direction, label in (("Right", "positive"), ("Left", "negative")):
        body = {"inputs": begins + ends, "truncate": True, "truncation_direction": direction}
        assert client.post("/predict", json=body).json()[0]["label"] == label


def test_classify_gives_probabilities_in_the_order_of_labels(client: httpx.Client) -> None:
    answer = client.post("/classify", json={"model": "sentiment", "input": ["I love it.", "I hate it."]}).json()
    assert [row["label"] for row in answer["data"]] == ["positive", "negative"]
    labels = client.get("/v1/models/sentiment").json()["labels"]["sentiment"]
    for row in answer["data"]:
        assert row["num_classes"] == 3
        assert labels[row["probs"].index(max(row["probs"]))] == row["label"]
    assert answer["usage"]["total_tokens"] > 0
