"""Reranking by a cross-encoder of random numbers and by the shipped embedding model, in the shapes of four peers."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tokenizers

from models.convert import Request, convert, open_path
from models.convert.passage import PASSAGE
from tests.convert.bare_encoders import POSITIONS, arrays_of, head_logits, hidden, write
from tests.server_process import serving

WEIGHTS = Path(__file__).parents[2] / "models" / "weights"
QUERY = "Who slept in the shade?"
DOCUMENTS = ["A dog slept in the shade of a boat.", "Boil two litres of water.", "Why do we sleep?", "The museum."]
LONG = PASSAGE[:3000]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder: Path = tmp_path_factory.mktemp("models")
    hub = write(tmp_path_factory.mktemp("hub") / "bert", "bert", labels=("LABEL_0",))
    request = Request(quantization="float32", check="structure")
    convert(open_path(hub), folder, "ranker", request)
    (folder / "embed").symlink_to(WEIGHTS / "embed")
    reader = tokenizers.Tokenizer.from_file(str(hub / "tokenizer.json"))
    with serving(models_dir=folder) as served, served.client() as client:
        yield SimpleNamespace(client=client, reader=reader, arrays=arrays_of("bert", 1))


def logit(world: SimpleNamespace, ids: list[int], types: list[int]) -> float:
    return float(head_logits("bert", world.arrays, hidden("bert", world.arrays, ids, types=types)[:1])[0, 0])


def logits(world: SimpleNamespace, query: str, documents: list[str], **cut: Any) -> list[float]:
    """The numbers that the model's weights give pairs; ``cut``: as the tokenizers' library cuts them."""
    if cut:
        world.reader.enable_truncation(**cut)
    encodings = [world.reader.encode(query, document) for document in documents]
    world.reader.no_truncation()
    return [logit(world, each.ids, each.type_ids) for each in encodings]


def ask(world: SimpleNamespace, path: str = "/v1/rerank", **body: Any) -> Any:
    answer = world.client.post(path, json={"query": QUERY, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def sigmoid(values: list[float]) -> list[float]:
    return [1 / (1 + np.exp(-value)) for value in values]


def test_documents_come_sorted_with_the_models_probabilities(world: SimpleNamespace) -> None:
    wanted = sigmoid(logits(world, QUERY, DOCUMENTS))
    answer = ask(world, documents=DOCUMENTS)
    assert (answer["model"], answer["method"], answer["object"]) == ("ranker", "cross-encoder", "list")
    order = [each["index"] for each in answer["results"]]
    assert order == sorted(range(len(DOCUMENTS)), key=lambda i: -wanted[i])
    for each in answer["results"]:
        assert each["relevance_score"] == pytest.approx(wanted[each["index"]], abs=1e-5)
        assert each["document"] == {"text": DOCUMENTS[each["index"]]}
        assert each["windows"] == 1
    tokens = sum(len(world.reader.encode(QUERY, each).ids) for each in DOCUMENTS)
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer["meta"]["tokens"]["input_tokens"] == tokens


def test_top_n_and_documents_are_as_asked_for(world: SimpleNamespace) -> None:
    some = [{"text": DOCUMENTS[0], "page": 4}, DOCUMENTS[1]]
    whole = ask(world, documents=some)["results"]
    assert {str(each["document"]) for each in whole} == {str(some[0]), str({"text": some[1]})}
    assert ask(world, documents=some, top_n=1)["results"] == whole[:1]
    assert ask(world, documents=some, top_n=9)["results"] == whole
    assert "document" not in ask(world, documents=some, return_documents=False)["results"][0]
    assert "document" not in ask(world, "/v2/rerank", documents=DOCUMENTS)["results"][0]
    assert "document" in ask(world, "/v2/rerank", documents=DOCUMENTS, return_documents=True)["results"][0]


def test_the_inference_servers_shape_is_known_by_its_texts(world: SimpleNamespace) -> None:
    raw = logits(world, QUERY, DOCUMENTS)
    answer = world.client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS})
    assert answer.headers["x-rerank-method"] == "cross-encoder"
    for each in answer.json():
        assert each == {"index": each["index"], "score": pytest.approx(sigmoid(raw)[each["index"]], abs=1e-5)}
    answer = ask(world, "/rerank", texts=DOCUMENTS, raw_scores=True, return_text=True)
    assert [each["score"] for each in answer] == pytest.approx(sorted(raw, reverse=True), abs=1e-4)
    assert [each["text"] for each in answer] == [DOCUMENTS[each["index"]] for each in answer]
    assert ask(world, "/rerank", documents=DOCUMENTS)["results"] == ask(world, documents=DOCUMENTS)["results"]


def test_the_best_window_of_a_long_document_counts(world: SimpleNamespace) -> None:
    encoding = world.reader.encode(QUERY, LONG)
    begin = encoding.sequence_ids.index(1)
    end = len(encoding.ids) - 1
    size = POSITIONS - begin - 1
    found, at = [], begin
    while True:
        places = [*range(begin), *range(at, min(at + size, end)), end]
        found.append(logit(world, [encoding.ids[i] for i in places], [encoding.type_ids[i] for i in places]))
        if at + size >= end:
            break
        at += size - 32
    assert len(found) > 5
    [best] = ask(world, documents=[LONG])["results"]
    assert best["windows"] == len(found)
    assert best["relevance_score"] == pytest.approx(sigmoid([max(found)])[0], abs=1e-5)
    [first] = ask(world, documents=[LONG], max_chunks_per_doc=1)["results"]
    assert first["relevance_score"] == pytest.approx(sigmoid(found)[0], abs=1e-5)
    [short] = ask(world, documents=[LONG], max_tokens_per_doc=20)["results"]
    places = [*range(begin + 20), end]
    cut = logit(world, [encoding.ids[i] for i in places], [encoding.type_ids[i] for i in places])
    assert (short["windows"], short["relevance_score"]) == (1, pytest.approx(sigmoid([cut])[0], abs=1e-5))


@pytest.mark.parametrize("query", [QUERY, LONG, LONG[:300], "Nets?"])
@pytest.mark.parametrize("direction", ["right", "left"])
def test_a_pair_is_cut_as_the_tokenizers_library_cuts_it(world: SimpleNamespace, query: str, direction: str) -> None:
    documents = [LONG, LONG[:250], "A dog."]
    wanted = logits(world, query, documents, max_length=POSITIONS, direction=direction)
    body = {"query": query, "texts": documents, "raw_scores": True, "truncate": True}
    answer = ask(world, "/rerank", **body, truncation_direction=direction.title())
    assert {each["index"]: each["score"] for each in answer} == pytest.approx(dict(enumerate(wanted)), abs=1e-4)
    wanted = logits(world, query, documents, max_length=40, direction=direction)
    answer = ask(world, query=query, documents=documents, truncate_prompt_tokens=40, truncation_side=direction)
    scores = {each["index"]: each["relevance_score"] for each in answer["results"]}
    assert scores == pytest.approx(dict(enumerate(sigmoid(wanted))), abs=1e-5)


def test_a_hundred_pairs_share_batches(world: SimpleNamespace) -> None:
    documents = [f"{i} {DOCUMENTS[i % 4]}" for i in range(100)]
    answer = world.client.post("/v1/rerank", json={"query": QUERY, "documents": documents})
    assert len(answer.json()["results"]) == 100
    assert int(answer.headers["x-batch-size"]) > 1
    one = ask(world, documents=documents[:1])["results"][0]["relevance_score"]
    [same] = [each["relevance_score"] for each in answer.json()["results"] if each["index"] == 0]
    assert same == pytest.approx(one, abs=1e-5)


def test_an_embedding_model_ranks_by_cosines_and_the_answer_says_so(world: SimpleNamespace) -> None:
    answer = ask(world, model="embed", documents=[*DOCUMENTS, LONG])
    assert answer["method"] == "bi-encoder"
    rows = world.client.post("/v1/embeddings", json={"model": "embed", "input": [QUERY, *DOCUMENTS]}).json()["data"]
    query, *others = (np.array(row["embedding"]) for row in rows)
    scores = {each["index"]: each["relevance_score"] for each in answer["results"]}
    for index, other in enumerate(others):
        assert scores[index] == pytest.approx(float(query @ other), abs=1e-5)
    assert answer["results"][0]["index"] == 0
    assert next(each["windows"] for each in answer["results"] if each["index"] == 4) > 2
    inference = world.client.post("/rerank", json={"model": "embed", "query": QUERY, "texts": DOCUMENTS})
    assert inference.headers["x-rerank-method"] == "bi-encoder"


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "both shapes": ("/rerank", {"documents": ["a"], "texts": ["a"]}, "'texts'"),
    "raw scores of documents": ("/rerank", {"documents": ["a"], "raw_scores": True}, "'raw_scores'"),
    "the best of texts": ("/rerank", {"texts": ["a"], "top_n": 1}, "'top_n'"),
    "texts where only documents are": ("/v1/rerank", {"texts": ["a"]}, "'texts'"),
    "nothing to rank": ("/rerank", {}, "'documents'"),
    "no documents": ("/v1/rerank", {"documents": []}, "'documents'"),
    "no texts": ("/rerank", {"texts": []}, "'texts'"),
    "a number": ("/v1/rerank", {"documents": ["a", 5]}, "'documents'"),
    "a picture": ("/v1/rerank", {"documents": [{"image": "x"}]}, "'documents'"),
    "an empty document": ("/v1/rerank", {"documents": ["a", " "]}, "Document 1"),
    "an empty text": ("/rerank", {"texts": ["a", " "]}, "Document 1"),
    "an empty query": ("/v1/rerank", {"query": " ", "documents": ["a"]}, "query"),
    "a negative number": ("/v1/rerank", {"documents": ["a"], "top_n": -1}, "'top_n'"),
    "fields to rank by": ("/v1/rerank", {"documents": [{"text": "a"}], "rank_fields": ["title"]}, "'rank_fields'"),
    "a misspelt field": ("/v1/rerank", {"documents": ["a"], "topn": 1}, "Did you mean 'top_n'"),
    "a long text": ("/rerank", {"texts": ["a", LONG]}, "input 1"),
    "a query without room": ("/v1/rerank", {"query": LONG, "documents": ["a"]}, "The query is too long"),
    "a cut beyond the context": ("/v1/rerank", {"documents": ["a"], "truncate_prompt_tokens": 999}, "'truncate_prompt"),
    "another model's task": ("/v1/rerank", {"model": "nobody", "documents": ["a"]}, "for rerank. Models for it: "),
    "too many": ("/v1/rerank", {"documents": ["a"] * 2049}, "'documents'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_ranked_is_refused_by_name(world: SimpleNamespace, name: str) -> None:
    path, body, word = REFUSED[name]
    answer = world.client.post(path, json={"query": QUERY, **body})
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    message = error if path == "/rerank" else error["message"]
    assert word in message
    if path == "/rerank":
        assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")


def test_errors_of_the_second_api_are_coheres(world: SimpleNamespace) -> None:
    answer = world.client.post("/v2/rerank", json={"query": QUERY, "documents": []})
    assert answer.status_code == 400
    assert set(answer.json()) == {"message"}


def test_false_fields_of_the_other_shape_ask_for_nothing(world: SimpleNamespace) -> None:
    body = {"documents": DOCUMENTS, "raw_scores": False, "return_text": None, "rank_fields": ["text"], "top_n": 0}
    assert len(ask(world, **body)["results"]) == len(DOCUMENTS)


def test_a_reranker_is_no_classifier_and_is_listed(world: SimpleNamespace) -> None:
    assert world.client.get("/v1/models/ranker").json()["task"] == "rerank"
    for path, body in {"/v1/sentiment": {"input": "a"}, "/predict": {"inputs": "a"}}.items():
        assert world.client.post(path, json={"model": "ranker", **body}).status_code == 404
    series = world.client.get("/metrics").text
    assert 'hearth_request_success_total{finished_reason="stop",model="ranker"}' in series
