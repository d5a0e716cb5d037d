"""Cohere's package, and langchain-cohere over it, against a real server. Run by `make test-clients`."""

import pytest

from tests.server_process import Served

WHY = "cohere and langchain-cohere are in the environment of `make test-clients` only"
cohere = pytest.importorskip("cohere", reason=WHY)
langchain_cohere = pytest.importorskip("langchain_cohere", reason=WHY)

QUERY = "When does the ferry leave?"
DOCUMENTS = ["The museum is closed on Mondays.", "Boats to the island depart at 9:45.", "Oranges are sweet."]


def test_the_second_api_sorts_by_relevance(server: Served) -> None:
    with cohere.ClientV2("none", base_url=server.url) as client:
        answer = client.rerank(model="embed", query=QUERY, documents=DOCUMENTS, top_n=2, max_tokens_per_doc=100)
    assert answer.results[0].index == 1
    assert len(answer.results) == 2
    assert answer.results[0].relevance_score > answer.results[1].relevance_score
    assert answer.meta.tokens.input_tokens > 0


def test_the_first_api_takes_objects_and_returns_documents(server: Served) -> None:
    with cohere.Client("none", base_url=server.url) as client:
        objects = [{"text": text, "page": str(i)} for i, text in enumerate(DOCUMENTS)]
        answer = client.rerank(
            model="embed", query=QUERY, documents=objects, return_documents=True, rank_fields=["text"]
        )
    assert answer.results[0].document.text == DOCUMENTS[1]
    assert answer.results[0].document.page == "1"
    assert len(answer.results) == 3


def test_errors_say_what_is_wrong(server: Served) -> None:
    with cohere.ClientV2("none", base_url=server.url) as client:
        with pytest.raises(cohere.BadRequestError) as error:
            client.rerank(model="embed", query=" ", documents=DOCUMENTS)
        assert error.value.body == {"message": "The query is empty."}
        with pytest.raises(cohere.NotFoundError, match=r"There is no model 'rerank-v3\.5' for rerank"):
            client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS)


def test_langchain_compresses_documents(server: Served) -> None:
    from langchain_core.documents import Document

    ranker = langchain_cohere.CohereRerank(model="embed", cohere_api_key="none", base_url=server.url, top_n=1)
    [best] = ranker.compress_documents([Document(page_content=text) for text in DOCUMENTS], QUERY)
    assert best.page_content == DOCUMENTS[1]
    assert best.metadata["relevance_score"] > 0.3
