"""Embeddings, sentiment and moderations: shapes, order and refusals."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai.types import CreateEmbeddingResponse, ModerationCreateResponse

from models.cards import HeadSpec
from server.api.openai.moderations import CATEGORIES
from server.tasks.encoding import Classification, Head

pytestmark = pytest.mark.anyio


async def embed(served: Any, given: Any, **fields: Any) -> dict[str, Any]:
    response = await served.post("/v1/embeddings", model="embed", input=given, **fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_embeddings_have_openais_shape_and_unit_length(served: Any) -> None:
    answer = await embed(served, ["a", "b"])
    CreateEmbeddingResponse.model_validate(answer, strict=True)
    assert [item["index"] for item in answer["data"]] == [0, 1]
    for item in answer["data"]:
        assert np.linalg.norm(item["embedding"]) == pytest.approx(1, abs=1e-3)


async def test_base64_is_the_float_form_in_little_endian(served: Any) -> None:
    floats = (await embed(served, "a"))["data"][0]["embedding"]
    text = (await embed(served, "a", encoding_format="base64"))["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(text), "<f4").tolist() == floats


async def test_a_batch_gives_what_its_inputs_give_alone(served: Any) -> None:
    batch = await embed(served, ["a", "b", "a"])
    alone = [await embed(served, text) for text in "ab"]
    vectors = [item["embedding"] for item in batch["data"]]
    assert vectors[0] == vectors[2] == alone[0]["data"][0]["embedding"]
    assert vectors[1] == alone[1]["data"][0]["embedding"]
    assert (
        batch["usage"]["prompt_tokens"]
        == 2 * sum(one["usage"]["prompt_tokens"] for one in [alone[0]]) + (alone[1]["usage"]["prompt_tokens"])
    )


async def test_token_ids_are_counted_exactly(served: Any) -> None:
    assert (await embed(served, [101, 1037, 102]))["usage"]["prompt_tokens"] == 3
    assert (await embed(served, [[101, 1037, 102], [101, 102]]))["usage"]["prompt_tokens"] == 5


async def test_only_the_models_own_dimensions_are_accepted(served: Any) -> None:
    assert len((await embed(served, "a", dimensions=384))["data"][0]["embedding"]) == 384
    response = await served.post("/v1/embeddings", model="embed", input="a", dimensions=10)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "dimensions"


@pytest.mark.parametrize("given", ["", [""], [[]], ["a", ""], [10**9], [-1]])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/sentiment"])
async def test_empty_and_malformed_inputs_are_refused(served: Any, path: str, given: Any) -> None:
    response = await served.post(path, input=given)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "input"


async def test_an_input_too_long_to_embed_is_refused(served: Any) -> None:
    response = await served.post("/v1/embeddings", input=["a", "x " * 2000])
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("input")


@pytest.mark.parametrize("path", ["/v1/sentiment", "/classify"])
async def test_a_long_text_is_read_in_chunks_and_every_token_counts(served: Any, path: str) -> None:
    answer = (await served.post(path, input=["a", "x " * 1000])).json()
    assert len(answer["data"]) == 2
    assert answer["usage"]["prompt_tokens"] == 3 + 1000 + 2 * 32  # in 32 chunks, two marks around each
    if path == "/v1/sentiment":
        assert [item["chunks"] for item in answer["data"]] == [1, 32]


async def test_sentiment_scores_every_text_in_order(served: Any) -> None:
    answer = (await served.post("/v1/sentiment", model="sentiment", input=["a", "b", "a"])).json()
    assert answer["id"].startswith("sent-")
    assert [item["index"] for item in answer["data"]] == [0, 1, 2]
    for item in answer["data"]:
        assert set(item["scores"]) == {"negative", "neutral", "positive"}
        assert sum(item["scores"].values()) == pytest.approx(1)
        assert item["score"] == max(item["scores"].values()) == item["scores"][item["label"]]
    assert answer["data"][0]["scores"] == answer["data"][2]["scores"]
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] > 0


async def test_a_text_in_a_language_that_no_model_reads_is_flagged(served: Any) -> None:
    answer = (await served.post("/v1/sentiment", input=["I love it.", "La mia cena era fredda.", "42"])).json()
    assert [item["language"] for item in answer["data"]] == ["en", "it", None]
    assert [item["flags"] for item in answer["data"]] == [[], ["unsupported_language"], []]
    assert {item["model"] for item in answer["data"]} == {"sentiment"}


@pytest.fixture
def moderation(served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HeadSpec:
    """A head that always says: hate 0.7, violence 0.6."""
    thresholds = {"hate": 0.8}
    spec = HeadSpec("moderation", ("hate", "violence"), "sigmoid", "mean", "moderation.npz", thresholds=thresholds)
    logits = np.log(np.array([0.7, 0.6]) / (1 - np.array([0.7, 0.6])))
    np.savez(tmp_path / spec.file, weight=np.zeros((2, 384), np.float32), bias=logits.astype(np.float32))
    model = served.registry.models["sentiment"]
    model = replace(model, card=replace(model.card, heads=(spec,)))
    task = Classification(model, Head(spec, tmp_path))
    monkeypatch.setattr(served.registry, "classifier", lambda name, head: task)
    return spec


@pytest.mark.parametrize(
    ("given", "results"),
    [("a", 1), (["a", "b"], 2), ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], 1)],
)
async def test_moderations_have_openais_shape(served: Any, moderation: HeadSpec, given: Any, results: int) -> None:
    answer = (await served.post("/v1/moderations", input=given)).json()
    ModerationCreateResponse.model_validate(answer, strict=True)
    assert answer["id"].startswith("modr-")
    assert len(answer["results"]) == results


async def test_a_category_is_flagged_from_its_own_threshold_on(served: Any, moderation: HeadSpec) -> None:
    [result] = (await served.post("/v1/moderations", input="a")).json()["results"]
    assert result["category_scores"]["hate"] == pytest.approx(0.7)
    assert result["categories"]["hate"] is False
    assert result["categories"]["violence"] is True
    assert result["flagged"] is True


async def test_categories_without_training_are_not_invented(served: Any, moderation: HeadSpec) -> None:
    [result] = (await served.post("/v1/moderations", input="a")).json()["results"]
    for name in CATEGORIES:
        known = name in moderation.labels
        assert result["category_applied_input_types"][name] == (["text"] if known else [])
        if not known:
            assert result["category_scores"][name] == 0
            assert result["categories"][name] is False


@pytest.mark.parametrize("given", [None, [], [1], [{"type": "text"}], ["a", {"type": "text", "text": "b"}],
                                   [{"type": "image_url", "image_url": {"url": "x"}}]])  # fmt: skip
async def test_moderations_refuse_other_inputs(served: Any, moderation: HeadSpec, given: Any) -> None:
    response = await served.post("/v1/moderations", input=given)
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("input")
