"""Rerank requests as programs send them that are too large to run here: Open WebUI, Dify and vLLM's clients."""

from collections.abc import Iterator

import httpx
import pytest

from tests.server_process import serving

QUERY = "When does the ferry leave?"
TEXTS = ["The museum is closed on Mondays.", "Boats to the island depart at 9:45.", "Oranges are sweet."]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving("--models", "embed") as served, served.client() as client:
        yield client


def test_open_webuis_external_reranker_reads_a_score_for_each_document(client: httpx.Client) -> None:
    body = {"model": "embed", "query": QUERY, "documents": TEXTS, "top_n": len(TEXTS)}
    answer = client.post("/v1/rerank", json=body, headers={"Authorization": "Bearer none"}).json()
    scores = [each["relevance_score"] for each in sorted(answer["results"], key=lambda each: each["index"])]
    assert len(scores) == len(TEXTS)
    assert max(scores) == scores[1]


def test_dify_finds_documents_and_scores(client: httpx.Client) -> None:
    body = {"model": "embed", "query": QUERY, "documents": TEXTS, "top_n": 2, "return_documents": True}
    results = client.post("/v1/rerank", json=body).json()["results"]
    assert (results[0]["index"], results[0]["document"]["text"]) == (1, TEXTS[1])
    scores = [each["relevance_score"] for each in results]
    assert min(scores) < max(scores), "it divides by their difference"


def test_difys_provider_for_the_inference_server_learns_the_model_first(client: httpx.Client) -> None:
    about = client.get("/info").json()
    assert "embedding" in about["model_type"]
    assert about["max_input_length"] > 0
    assert about["max_client_batch_size"] > 0
    ranked = client.post("/rerank", json={"query": QUERY, "texts": TEXTS}).json()
    assert ranked[0]["index"] == 1
    tokens = client.post("/tokenize", json={"inputs": TEXTS, "model": "embed"}).json()
    assert [len(each) > 5 for each in tokens] == [True] * 3


def test_vllms_clients_read_the_text_of_each_document(client: httpx.Client) -> None:
    for path in ("/rerank", "/v1/rerank"):
        answer = client.post(path, json={"model": "embed", "query": QUERY, "documents": TEXTS}).json()
        assert answer["results"][0]["document"]["text"] == TEXTS[1]
        assert answer["usage"]["total_tokens"] > 0
