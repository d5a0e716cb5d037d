"""Text-embeddings-inference's paths: vectors, similarity, tokens, texts of ids, what is served, pairs to predict."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.cards import EmbeddingSpec
from models.convert import Request, convert, open_path
from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.tasks.encoding import Embedding
from tests.convert.bare_encoders import arrays_of, head_logits, hidden, write
from tests.server_process import serving

pytestmark = pytest.mark.anyio

TEXTS = ["Where is my parcel?", "I like tea."]
LONG = "All good things come to those who wait. " * 60
MISTY = "e\u0301 🙂🏽 naïve 漢字 ẞ\u200b x"


async def ask(served: Any, path: str, **body: Any) -> Any:
    response = await served.post(path, **body)
    assert response.status_code == 200, response.text
    return response.json()


async def test_embed_gives_the_vectors_of_openais_route(served: Any) -> None:
    rows = (await ask(served, "/v1/embeddings", input=TEXTS))["data"]
    wanted = [row["embedding"] for row in rows]
    assert await ask(served, "/embed", inputs=TEXTS) == wanted
    assert await ask(served, "/embed", inputs=TEXTS[0], dimensions=384) == wanted[:1]
    ids = [served.tokenizers["embed"].encode_row(text) for text in TEXTS]
    assert await ask(served, "/embed", inputs=ids) == wanted
    assert await ask(served, "/embed", inputs=ids[0]) == wanted[:1]


async def test_vectors_have_their_own_length_where_that_is_asked_for(served: Any) -> None:
    [unit] = await ask(served, "/embed", inputs=TEXTS[0])
    [raw] = await ask(served, "/embed", inputs=TEXTS[0], normalize=False)
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(raw) > 2
    assert np.array(raw) / np.linalg.norm(raw) == pytest.approx(np.array(unit), abs=1e-6)


async def test_a_long_text_is_cut_only_where_that_is_asked_for(served: Any) -> None:
    for path in ("/embed", "/embed_all"):
        refused = await served.post(path, inputs=LONG)
        assert refused.status_code == 422
        assert "maximum context length is 256" in refused.json()["error"]
    right, left = [
        await ask(served, "/embed", inputs=LONG, truncate=True, truncation_direction=way) for way in ("Right", "Left")
    ]
    assert right != left
    openai = await ask(served, "/v1/embeddings", input=LONG, truncate_prompt_tokens=-1)
    assert right == [openai["data"][0]["embedding"]]


async def test_embed_all_has_a_vector_for_each_token(served: Any) -> None:
    found = await ask(served, "/embed_all", inputs=TEXTS)
    assert [len(each) for each in found] == [len(served.tokenizers["embed"].encode_row(text)) for text in TEXTS]
    [raw] = await ask(served, "/embed", inputs=TEXTS[0], normalize=False)
    assert np.array(found[0]).mean(0) == pytest.approx(np.array(raw), abs=1e-5)


async def test_similarity_is_the_cosine(served: Any) -> None:
    vectors = [np.array(each) for each in await ask(served, "/embed", inputs=[TEXTS[0], *TEXTS])]
    found = await ask(served, "/similarity", inputs={"source_sentence": TEXTS[0], "sentences": TEXTS})
    assert found == pytest.approx([float(vectors[0] @ each) for each in vectors[1:]], abs=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-5)


async def test_a_prompt_goes_before_each_text(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = served.registry.models["embed"]
    section = EmbeddingSpec(384, "mean", True, {"query": "query: "})
    task = Embedding(replace(model, card=replace(model.card, embedding=section)), "mean", True)
    monkeypatch.setattr(served.registry, "embedder", lambda name: task)
    wanted = await ask(served, "/embed", inputs="query: tea")
    assert await ask(served, "/embed", inputs="tea", prompt_name="query") == wanted
    asked = {"source_sentence": "tea", "sentences": ["tea"]}
    await ask(served, "/similarity", inputs=asked, parameters={"prompt_name": "query"})
    refused = await served.post("/embed", inputs="tea", prompt_name="passage")
    assert refused.status_code == 422
    assert "'passage'; it has query" in refused.json()["error"]
    assert (await served.post("/embed", inputs=[5], prompt_name="query")).status_code == 422


async def test_tokens_come_with_their_places(served: Any) -> None:
    [plain], [around] = [
        await ask(served, "/tokenize", model="embed", inputs=MISTY, add_special_tokens=added) for added in (False, True)
    ]
    tokenizer = served.tokenizers["embed"]
    assert [each["id"] for each in plain] == tokenizer.encode(MISTY)
    assert [each["id"] for each in around] == tokenizer.encode_row(MISTY)
    assert around[1:-1] == plain
    special = {"id": tokenizer.id("[CLS]"), "text": "[CLS]", "special": True, "start": None, "stop": None}
    assert around[0] == special
    for each in plain:
        assert each["text"] == MISTY[each["start"] : each["stop"]]
    assert len(await ask(served, "/tokenize", model="embed", inputs=TEXTS)) == 2
    assert (await ask(served, "/tokenize", model="embed", prompt=TEXTS[0]))["count"] > 3


async def test_decode_gives_texts_without_special_tokens(served: Any) -> None:
    ids = [served.tokenizers["embed"].encode_row(text) for text in TEXTS]
    assert await ask(served, "/decode", ids=ids) == ["where is my parcel ?", "i like tea ."]
    assert await ask(served, "/decode", ids=ids[0]) == ["where is my parcel ?"]


async def test_info_says_what_is_served(served: Any) -> None:
    found = (await served.http.get("/info")).json()
    assert (found["model_id"], found["model_type"]) == ("embed", {"embedding": {"pooling": "mean"}})
    assert found["max_input_length"] == 256
    named = (await served.http.get("/info", params={"model": "sentiment"})).json()
    assert named["model_type"]["classifier"]["label2id"] == {"negative": 0, "neutral": 1, "positive": 2}
    assert (await served.http.get("/info", params={"model": "nobody"})).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/embed", {"inputs": []}, "'inputs'"),
        ("/embed", {"inputs": [" "]}, "Input 0 is empty"),
        ("/embed", {"inputs": [10**9]}, "not in the vocabulary"),
        ("/embed", {"inputs": "a", "dimensions": 9}, "'dimensions'"),
        ("/embed", {"inputs": "a", "encoding_format": "base64"}, "'encoding_format'"),
        ("/embed", {"inputs": "a", "model": "sentiment"}, "for embeddings"),
        ("/embed_all", {"inputs": "a", "normalize": True}, "'normalize'"),
        ("/embed_sparse", {"inputs": "a"}, "sparse vectors"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, "'inputs.sentences'"),
        ("/similarity", {"inputs": "a"}, "'inputs'"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": {"x": 1}}, "eters.x'"),
        ("/decode", {"ids": [[-1]]}, "'ids'"),
        ("/decode", {"ids": [10**8]}, "not in the vocabulary"),
        ("/decode", {"ids": [5], "skip_special_tokens": False}, "'skip_special_tokens'"),
        ("/predict", {"inputs": [["a", "b"], ["c"]]}, "item 1 has 1 texts"),
        ("/predict", {"inputs": ["a", "b"]}, "'sentiment' scores single texts"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_by_name(served: Any, path: str, body: dict[str, Any], word: str) -> None:
    answer = await served.post(path, **body)
    assert 400 < answer.status_code < 500
    assert word in answer.json()["error"]
    assert answer.json()["error_type"] == "Validation"


async def test_tokens_of_neither_shape_are_refused(served: Any) -> None:
    for body in ({"inputs": "a", "prompt": "b"}, {"inputs": "a", "model": "translate"}, {"inputs": 5}):
        assert (await served.post("/tokenize", **body)).status_code == 400


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A classifier of pairs, of random numbers."""
    folder: Path = tmp_path_factory.mktemp("models")
    hub = write(tmp_path_factory.mktemp("hub") / "bert", "bert", labels=("entailment", "neutral", "contradiction"))
    convert(open_path(hub), folder, "judge", Request(quantization="float32", check="structure"))
    with serving(models_dir=folder) as served, served.client() as client:
        yield client, load_tokenizer(read_card(folder / "judge"))


def test_predict_scores_pairs(judge: Any) -> None:
    client, tokenizer = judge
    [pair] = tokenizer.encode_pairs(*[TEXTS[0], TEXTS[1:]])
    arrays = arrays_of("bert", 3)
    logits = head_logits("bert", arrays, hidden("bert", arrays, pair.ids, types=pair.types)[:1])[0]
    wanted = np.exp(logits) / np.exp(logits).sum()
    one = client.post("/predict", json={"inputs": TEXTS}).json()
    names = ("entailment", "neutral", "contradiction")
    assert {each["label"]: each["score"] for each in one} == pytest.approx(
        dict(zip(names, wanted, strict=True)), abs=1e-4
    )
    batch = client.post("/predict", json={"inputs": [TEXTS, TEXTS[::-1]]}).json()
    assert batch[0] == [{"label": each["label"], "score": pytest.approx(each["score"], abs=1e-5)} for each in one]
    assert batch[1] != batch[0]
    refused = client.post("/predict", json={"inputs": [LONG, LONG]})
    assert "maximum context length" in refused.json()["error"]
    cut = client.post("/predict", json={"inputs": [LONG, LONG], "truncate": True})
    assert cut.status_code == 200
