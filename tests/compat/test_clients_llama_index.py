"""LlamaIndex's rerankers for Jina and text-embeddings-inference against a real server. Run by `make test-clients`."""

from typing import Any

import pytest

from tests.server_process import Served

WHY = "llama-index is in the environment of `make test-clients` only"
schema = pytest.importorskip("llama_index.core.schema", reason=WHY)

QUERY = "When does the ferry leave?"
TEXTS = ["The museum is closed on Mondays.", "Boats to the island depart at 9:45.", "Oranges are sweet."]


def best_of(ranker: Any) -> list[Any]:
    nodes = [schema.NodeWithScore(node=schema.TextNode(text=text)) for text in TEXTS]
    return list(ranker.postprocess_nodes(nodes, query_str=QUERY))


def test_jinas_reranker_runs(server: Served) -> None:
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    best = best_of(JinaRerank(model="embed", base_url=f"{server.url}/v1", api_key="none", top_n=2))
    assert best[0].node.get_content() == TEXTS[1]
    assert best[0].score > best[1].score
    assert len(best) == 2


def test_the_reranker_of_text_embeddings_inference_runs(server: Served) -> None:
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    best = best_of(TextEmbeddingInference(base_url=server.url, top_n=1))
    assert [each.node.get_content() for each in best] == [TEXTS[1]]
