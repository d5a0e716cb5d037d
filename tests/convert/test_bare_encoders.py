"""Encoders without torch: the served outputs equal those of a second implementation in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.convert import CannotConvert, Request, convert, open_path
from models.convert.table import needed
from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.tasks.encoding import Head
from tests.convert.bare_encoders import (
    CLASSES,
    POSITIONS,
    TEXTS,
    WIDTH,
    arrays_of,
    head_logits,
    hidden,
    vectors_of,
    write,
)
from tests.convert.weight_files import write_safetensors

FLOATS = Request(quantization="float32")


def rows_of(folder: Path) -> list[list[int]]:
    tokenizer = load_tokenizer(read_card(folder))
    return [tokenizer.encode_row(text) for text in TEXTS]


@pytest.mark.parametrize("kind", CLASSES)
def test_an_embedder_computes_what_its_weights_say(tmp_path: Path, kind: str) -> None:
    source = open_path(write(tmp_path / "hub", kind))
    assert needed(source, "passage") == ()
    folder = convert(source, tmp_path / "models", "mine", FLOATS)
    card = read_card(folder)
    assert (card.task, card.license, card.context_length_tokens) == ("embedding", "mit", POSITIONS)
    rows = rows_of(folder)
    wanted = np.stack([hidden(kind, arrays_of(kind), row).mean(0) for row in rows])
    assert np.abs(vectors_of(folder, rows) - wanted).max() < 1e-4


@pytest.mark.parametrize("kind", CLASSES)
def test_a_classifier_computes_what_its_weights_say(tmp_path: Path, kind: str) -> None:
    labels = ("negative", "neutral", "positive")
    folder = convert(open_path(write(tmp_path / "hub", kind, labels=labels)), tmp_path / "models", "mine", FLOATS)
    card = read_card(folder)
    rows, arrays = rows_of(folder), arrays_of(kind, len(labels))
    [head] = card.heads
    logits = head_logits(kind, arrays, np.stack([hidden(kind, arrays, row)[0] for row in rows]))
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = Head(head, folder).probabilities(vectors_of(folder, rows, "cls"))
    assert np.abs(found - wanted).max() < 1e-4


def test_int8_is_held_to_the_same_weights_in_float32(tmp_path: Path) -> None:
    folder = convert(open_path(write(tmp_path / "hub", "bert")), tmp_path / "models", "mine", Request())
    figures = {figure.metric: figure.value for figure in read_card(folder).figures}
    assert 0 < figures["noise of the hidden states as served, int8_float32"] < 0.1
    assert figures["smallest cosine between a vector as served and one in float32"] > 0.99


def test_older_names_of_norms_are_read(tmp_path: Path) -> None:
    source = write(tmp_path / "hub", "bert")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in arrays_of("bert").items()
    }
    extra = {"cls.predictions.bias": np.zeros(408, np.float32), "pooler.dense.bias": np.zeros(WIDTH, np.float32)}
    folder = convert(open_path(source), tmp_path / "models", "new", FLOATS)
    write_safetensors(source / "model.safetensors", {**old, **extra})
    again = convert(open_path(source), tmp_path / "models", "old", FLOATS)
    assert (folder / "model.bin").read_bytes() == (again / "model.bin").read_bytes()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"encoder.layer.0.output.dense.bias": None}, r"lacks weights: encoder\.layer\.0\.output\.dense\.bias"),
        ({"encoder.layer.2.output.dense.bias": (WIDTH,)}, "1 weights that a model of its kind has not"),
        ({"embeddings.word_embeddings.weight": (400, WIDTH)}, r"have the shape \(400, 48\); config.json says"),
    ],
)
def test_every_tensor_is_used_once_and_has_its_shape(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    source = write(tmp_path / "hub", "bert")
    arrays = arrays_of("bert")
    for name, shape in change.items():
        arrays.pop(name, None)
        if shape is not None:
            arrays[name] = np.zeros(shape, np.float32)
    write_safetensors(source / "model.safetensors", arrays)
    with pytest.raises(CannotConvert, match=why):
        convert(open_path(source), tmp_path / "models", "mine", Request())
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"hidden_act": "softsign"}, "hidden_act is 'softsign'; known here"),
        ({"num_attention_heads": 7}, "7 heads for 48 numbers a token"),
        ({"num_attention_heads": 10**40}, "must be a whole number"),
        ({"model_type": "deberta-v2"}, "an encoder of the type 'deberta-v2'; known here: bert"),
        ({"embedding_size": 16}, "no place for the matrix between them"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(tmp_path: Path, config: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotConvert, match=why):
        convert(open_path(write(tmp_path / "hub", "bert", **config)), tmp_path / "models", "mine", Request())
