"""Encoders from a hub: classifiers and embedders of every architecture give the original's outputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from models.convert import Request, convert, read_source
from models.registry import read_card
from models.tokenizers import load_tokenizer
from server.tasks.encoding import Head
from tests.convert.bare_encoders import TEXTS, vectors_of
from tests.convert.encoder_repositories import KINDS, POSITIONS, Kind, write, write_pipeline

LABELS = {0: "negative", 1: "neutral", 2: "positive"}


def vectors(folder: Path, texts: list[str], pooling: Any) -> np.ndarray:
    """What the server's own engine gives for texts."""
    tokenizer = load_tokenizer(read_card(folder))
    return vectors_of(folder, [tokenizer.encode_row(text) for text in texts], pooling)


def original(folder: Path, texts: list[str], kind: str = "AutoModelForSequenceClassification") -> Any:
    import torch
    import transformers

    model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [model(**tokenizer(text, return_tensors="pt")) for text in texts]


CLASSIFIERS = {name: kind for name, kind in KINDS.items() if name not in ("Gte", "NomicBert")}


@pytest.mark.parametrize("kind", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_a_classifier_gives_the_probabilities_of_the_original(tmp_path: Path, kind: Kind, problem: str) -> None:
    source = write(tmp_path / "hub", kind, "ForSequenceClassification", id2label=LABELS, problem_type=problem)
    folder = convert(
        read_source(source), tmp_path / "models", "mine", Request(quantization="float32", check="original")
    )
    card = read_card(folder)
    assert (card.task, card.license, card.context_length_tokens) == ("classification", "mit", POSITIONS)
    assert card.heads[0].labels == tuple(LABELS.values())
    assert card.heads[0].name == "sentiment"
    found = Head(card.heads[0], folder).probabilities(vectors(folder, TEXTS, "cls"))
    for row, output in zip(found, original(source, TEXTS), strict=True):
        logits = output.logits[0]
        wanted = logits.softmax(0) if problem.startswith("single") else logits.sigmoid()
        assert np.allclose(row, wanted.numpy(), atol=1e-4)


QUERY = "Who slept in the shade?"


@pytest.mark.parametrize("kind", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_reranker_gives_the_number_of_the_original_for_pairs(tmp_path: Path, kind: Kind) -> None:
    import torch
    import transformers

    source = write(tmp_path / "hub", kind, "ForSequenceClassification", num_labels=1)
    folder = convert(
        read_source(source), tmp_path / "models", "mine", Request(quantization="float32", check="original")
    )
    card = read_card(folder)
    assert card.task == "rerank"
    pairs = load_tokenizer(card).encode_pairs(QUERY, TEXTS)
    served = vectors_of(folder, [pair.ids for pair in pairs], "cls", [pair.types for pair in pairs])
    found = Head(card.heads[0], folder).logits(served)[:, 0]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    with torch.inference_mode():
        wanted = [float(model(**tokenizer(QUERY, text, return_tensors="pt")).logits[0, 0]) for text in TEXTS]
    assert np.allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize("kind", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_token_classifier_is_held_to_the_original(tmp_path: Path, kind: Kind) -> None:
    source = write(tmp_path / "hub", kind, "ForTokenClassification", id2label={0: "O", 1: "B-PER", 2: "I-PER"})
    folder = convert(
        read_source(source), tmp_path / "models", "mine", Request(quantization="float32", check="original")
    )
    card = read_card(folder)
    assert card.entities is not None
    assert card.entities.tags == ("O", "B-PER", "I-PER")
    assert {figure.metric: figure.value for figure in card.figures}[
        "share of tokens with the same tag as in float32"
    ] == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("mode", "pooling"), [("mean_tokens", "mean"), ("cls_token", "cls")])
def test_an_embedder_pools_as_its_repository_says(tmp_path: Path, kind: Kind, mode: str, pooling: str) -> None:
    source = write(tmp_path / "hub", kind, "Model")
    write_pipeline(source, mode=mode, normalize=pooling == "mean")
    folder = convert(
        read_source(source), tmp_path / "models", "mine", Request(quantization="float32", check="original")
    )
    card = read_card(folder)
    assert card.embedding is not None
    assert (card.embedding.pooling, card.embedding.normalize) == (pooling, pooling == "mean")
    assert (card.embedding.dimensions, card.context_length_tokens) == (48, 64)
    assert dict(card.embedding.prompts) == {"query": "query: ", "passage": "passage: "}
    found = vectors(folder, TEXTS, card.embedding.pooling)
    for vector, output in zip(found, original(source, TEXTS, "AutoModel"), strict=True):
        hidden = output.last_hidden_state[0].numpy()
        wanted = hidden[0] if pooling == "cls" else hidden.mean(0)
        assert vector @ wanted / np.linalg.norm(vector) / np.linalg.norm(wanted) > 0.9999
