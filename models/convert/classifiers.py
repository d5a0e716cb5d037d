"""Sequence classifiers: an encoder's body, and the head that CTranslate2's converter leaves behind.

What the head is differs: BERT's is its pooler (dense, tanh) and a layer for the labels; RoBERTa's and XLM-R's the same
under other names; DistilBERT's has relu. All read the first token's hidden state.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.cards import Activation, Figure, HeadSpec
from models.convert.contract import CannotConvert, Converted, Mismatch, Request
from models.convert.encoders import Floats, load, pooled, write_body
from models.convert.selfcheck import NAME, require_exact, rounded
from models.convert.source import Source
from models.probabilities import sigmoid, softmax

FILE = "head.npz"
ALLOWED_DIFFERENCE = 0.1
"""The most by which a probability, as served, may differ from the original's: int8 costs a hundredth or two."""

MOODS = {"negative", "neutral", "positive"}
CATEGORIES = {
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
}  # fmt: skip
"""OpenAI's categories of harm."""
HARMLESS = {"ok", "safe", "none"}


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """See `models.convert.contract.Converter`."""
    labels, kind = labels_of(source, request.labels), kind_of(source)
    request.report(f"reading {source.repository}")
    model = load("AutoModelForSequenceClassification", source)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    arrays, activation = head_of(model)
    body = write_body(model, source, folder, request)
    np.savez(folder / FILE, **arrays)  # type: ignore[arg-type]
    wanted = np.stack([each.logits for each in body.wanted if each.logits is not None])
    require_exact(wanted, logits_of(arrays, activation, pooled(body.exact, "cls")))
    served = logits_of(arrays, activation, pooled(body.served, "cls"))
    return Converted(
        task="classification",
        family="encoder",
        context_length_tokens=body.context_tokens,
        parameters=parameters,
        tokenizer=body.tokenizer,
        figures=(*body.figures, _require_served(wanted, served, kind)),
        heads=(HeadSpec(head_name(labels), labels, kind, "cls", FILE, activation),),
    )


def labels_of(source: Source, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The labels in the order of the logits.

    Args:
        source: the repository.
        wanted: what to call them instead; none: as it does.

    Raises:
        CannotConvert: ``config.json`` names none, or one is named twice; or it has not as many as are wanted.
    """
    stated = source.config.get("id2label")
    if not isinstance(stated, Mapping) or sorted(stated, key=_place) != [str(i) for i in range(len(stated))]:
        raise CannotConvert("config.json has no labels (id2label), numbered from 0.")
    labels = tuple(str(stated[str(i)]) for i in range(len(stated)))
    if wanted and len(wanted) != len(labels):
        raise CannotConvert(f"{source.repository} has {len(labels)} labels ({', '.join(labels)}), not {len(wanted)}.")
    named = wanted or labels
    if not all(named) or len(set(named)) != len(named):
        raise CannotConvert(f"The labels must be different and not empty: {', '.join(named)}.")
    return named


def kind_of(source: Source) -> Literal["softmax", "sigmoid"]:
    """Whether labels exclude each other.

    Raises:
        CannotConvert: the model gives a number, no labels.
    """
    stated = source.config.get("problem_type") or "single_label_classification"
    if stated == "multi_label_classification":
        return "sigmoid"
    if stated != "single_label_classification" or len(labels_of(source)) < 2:
        raise CannotConvert(
            f"{source.repository} gives one number and no labels: regression and reranking have no API."
        )
    return "softmax"


def head_name(labels: Sequence[str]) -> str:
    """What the head is for, told by its labels: the endpoints find heads by name."""
    folded = {label.casefold() for label in labels}
    if {"negative", "positive"} <= folded <= MOODS:
        return "sentiment"
    if folded & CATEGORIES and folded <= CATEGORIES | HARMLESS:
        return "moderation"
    return "labels"


def head_of(model: Any) -> tuple[Mapping[str, Floats], Activation]:
    """The head's arrays, by the names of `server.tasks.encoding`, and what follows its dense layer."""
    kind = model.config.model_type
    if kind == "bert":
        return _arrays(model.bert.pooler.dense, model.classifier), "tanh"
    if kind == "distilbert":
        return _arrays(model.pre_classifier, model.classifier), "relu"
    return _arrays(model.classifier.dense, model.classifier.out_proj), "tanh"


def logits_of(arrays: Mapping[str, Floats], activation: Activation, vectors: Floats) -> Floats:
    """Logits of shape (texts, labels) for vectors of shape (texts, d): the head in numpy."""
    hidden = vectors @ arrays["dense_weight"].T + arrays["dense_bias"]
    hidden = np.tanh(hidden) if activation == "tanh" else np.maximum(hidden, 0)
    logits: Floats = hidden @ arrays["weight"].T + arrays["bias"]
    return logits


def _arrays(dense: Any, labels: Any) -> Mapping[str, Floats]:
    layers = {"dense_weight": dense.weight, "dense_bias": dense.bias, "weight": labels.weight, "bias": labels.bias}
    return {name: layer.detach().float().numpy().copy() for name, layer in layers.items()}


def _require_served(wanted: Floats, served: Floats, kind: Literal["softmax", "sigmoid"]) -> Figure:
    difference = float(np.abs(_probabilities(wanted, kind) - _probabilities(served, kind)).max())
    if not difference <= ALLOWED_DIFFERENCE:
        raise Mismatch("the largest difference of a probability as served", difference, ALLOWED_DIFFERENCE)
    return Figure(NAME, "largest difference of a probability as served", rounded(difference), len(wanted))


def _probabilities(logits: Floats, kind: Literal["softmax", "sigmoid"]) -> Floats:
    return sigmoid(logits) if kind == "sigmoid" else softmax(logits)


def _place(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() else (-1, key)
