"""Decoders that embed: the vector is the last hidden state, and the class alone does not make a chat model of them."""

from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import openai
import pytest

from models.cards import ModelCard
from models.convert import CannotConvert, Request, convert, open_path
from models.convert.opened import SAFE, open_weights
from models.convert.tensors.base import whole
from models.registry import read_card
from models.tokenizers import load_tokenizer
from tests.convert.bare_encoders import TEXTS
from tests.convert.decoder_repositories import change
from tests.convert.encoder_repositories import write_pipeline
from tests.convert.weight_files import WIDTH, write_llama, write_safetensors
from tests.server_process import serving

FLOATS = Request(quantization="float32", check="structure")


def repository(folder: Path, *, body: bool = True) -> Path:
    """A tiny Llama that embeds; its weights are a body's, as transformers' AutoModel saves them, or a whole model's."""
    write_llama(folder)
    write_pipeline(folder, mode="lasttoken")
    end = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": []}
    end["single"].append({"SpecialToken": {"id": "</s>", "type_id": 0}})
    end["pair"] = [*end["single"], {"Sequence": {"id": "B", "type_id": 1}}]
    special = {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}
    change(folder / "tokenizer.json", post_processor={**end, "special_tokens": special})
    if body:
        with open_weights(open_path(folder)) as tensors:
            kept = {name: whole(tensor) for name, tensor in tensors.items() if name != "lm_head.weight"}
        write_safetensors(folder / SAFE, {name.removeprefix("model."): array for name, array in kept.items()})
    return folder


def imported(folder: Path, models: Path, request: Request = FLOATS) -> ModelCard:
    return read_card(convert(open_path(folder), models, "mine", request))


@pytest.mark.parametrize("body", [True, False], ids=["a body", "a whole model"])
def test_a_vector_is_the_last_hidden_state(tmp_path: Path, body: bool) -> None:
    card = imported(repository(tmp_path / "hub", body=body), tmp_path / "models")
    assert card.embedding is not None
    assert (card.task, card.family, card.embedding.pooling, card.embedding.dimensions) == (
        "embedding",
        "decoder",
        "last",
        WIDTH,
    )
    # The same weights as a model that writes: its last layer times the vector is its logits.
    chat = read_card(convert(open_path(write_llama(tmp_path / "chat")), tmp_path / "models", "chat", FLOATS))
    with open_weights(open_path(tmp_path / "chat")) as tensors:
        last = whole(tensors["lm_head.weight"])
    tokenizer = load_tokenizer(card)
    rows = [tokenizer.encode_row(text) for text in TEXTS]
    assert [row[-1] for row in rows] == [1, 1, 1]
    generator = ctranslate2.Generator(str(chat.folder), device="cpu", intra_threads=1)
    wanted = [np.array(generator.forward_batch([row]))[0, -1] for row in rows]
    with serving("--log-level", "error", models_dir=tmp_path / "models") as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        found = [np.array(each.embedding) for each in client.embeddings.create(model="mine", input=TEXTS).data]
        client.close()
    for vector, logits in zip(found, wanted, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
        made = last @ vector
        assert made @ logits / np.linalg.norm(made) / np.linalg.norm(logits) > 0.9999


def test_int8_is_held_to_the_same_weights_in_float32(tmp_path: Path) -> None:
    card = imported(repository(tmp_path / "hub"), tmp_path / "models", Request())
    figures = {figure.metric: figure.value for figure in card.figures}
    assert 0.97 < figures["smallest cosine between a vector as served and one in float32"] <= 1


@pytest.mark.parametrize(
    ("config", "why"),
    [({"is_causal": False}, "sees both ways"), ({"num_hidden_layers": 3}, r"lacks weights: model\.layers\.2")],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, config: dict[str, Any], why: str) -> None:
    hub = repository(tmp_path / "hub")
    change(hub / "config.json", **config)
    with pytest.raises(CannotConvert, match=why):
        imported(hub, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_one_that_does_not_say_how_it_pools_is_refused(tmp_path: Path) -> None:
    hub = repository(tmp_path / "hub")
    (hub / "modules.json").unlink()
    (hub / "README.md").write_text("---\npipeline_tag: sentence-similarity\n---\n")
    with pytest.raises(CannotConvert, match="which hidden state is the vector"):
        imported(hub, tmp_path / "models")


def test_it_computes_what_transformers_does(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tests.convert.decoder_repositories import write

    hub = write(tmp_path / "hub", "qwen3")
    write_pipeline(hub, mode="lasttoken")
    imported(hub, tmp_path / "models", Request(quantization="float32", check="original"))
