"""Converts sequence classifiers: an encoder's body, and the head, which CTranslate2's converter drops.

Heads differ: BERT's has the pooler (dense, tanh) and a layer for the labels; RoBERTa's and XLM-R's have the same parts
under other names; DistilBERT's has relu, ELECTRA's gelu. All heads read the first token's hidden state.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from models.cards import Activation, Figure, HeadSpec
from models.convert.architectures.bert import Encoder, EncoderPage
from models.convert.architectures.page import Weights
from models.convert.contract import CannotConvert, Converted, Mismatch, Request
from models.convert.encoders import Body, Floats, page_of_encoder, pooled, write_body
from models.convert.selfcheck import NAME, require_exact, rounded
from models.convert.source import Source
from models.convert.tensors.base import whole
from models.probabilities import ACTIVATIONS, sigmoid, softmax

Kind = Literal["softmax", "sigmoid"]
FILE = "head.npz"
ALLOWED_DIFFERENCE = 0.1
"""The largest difference between a served probability and the original's; int8 costs a hundredth or two."""

MOODS = {"negative", "neutral", "positive"}
CATEGORIES = {
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
}  # fmt: skip
"""OpenAI's categories of harm."""
HARMLESS = {"ok", "safe", "none"}


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    labels, kind = labels_of(source, request.labels), kind_of(source)
    activation = page_of_encoder(source).activation

    def read_head(page: EncoderPage, encoder: Encoder, take: Weights) -> Mapping[str, Floats]:
        return head_of(page, encoder.width, len(labels), take)

    body = write_body(source, folder, request, "AutoModelForSequenceClassification", read_head=read_head)
    np.savez(folder / FILE, **body.head)  # type: ignore[arg-type]
    return Converted(
        task="classification",
        family="encoder",
        context_length_tokens=body.context_tokens,
        parameters=body.parameters,
        tokenizer=body.tokenizer,
        figures=(*body.figures, *checked(body, activation, kind)),
        heads=(HeadSpec(head_name(labels), labels, kind, "cls", FILE, activation),),
    )


def checked(body: Body, activation: Activation, kind: Kind) -> tuple[Figure, ...]:
    """The largest difference between served probabilities and those in float32, or the original's.

    Raises:
        Mismatch: the difference is too large.
    """
    if body.exact is None:
        return ()
    wanted = logits_of(body.head, activation, pooled(body.exact, "cls"))
    if body.original is not None:
        original = np.stack([each.logits for each in body.original if each.logits is not None])
        require_exact(original, wanted)
        wanted = original
    served = logits_of(body.head, activation, pooled(body.served, "cls"))
    return (_require_served(wanted, served, kind),)


def labels_of(source: Source, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The labels in the order of the logits.

    Args:
        source: the repository.
        wanted: other names for the labels; empty: the repository's names.

    Raises:
        CannotConvert: ``config.json`` names no labels or repeats one, or their number differs from that of ``wanted``.
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


def kind_of(source: Source) -> Kind:
    """Tells whether labels exclude each other.

    Raises:
        CannotConvert: the model returns a number, not labels.
    """
    stated = source.config.get("problem_type") or "single_label_classification"
    if stated == "multi_label_classification":
        return "sigmoid"
    if stated != "single_label_classification" or len(labels_of(source)) < 2:
        raise CannotConvert(f"{source.repository} gives numbers and no labels: regression has no API.")
    return "softmax"


def head_name(labels: Sequence[str]) -> str:
    """The head's name, chosen by its labels; the endpoints find heads by name."""
    folded = {label.casefold() for label in labels}
    if {"negative", "positive"} <= folded <= MOODS:
        return "sentiment"
    if folded & CATEGORIES and folded <= CATEGORIES | HARMLESS:
        return "moderation"
    return "labels"


def head_of(page: EncoderPage, width: int, labels: int, take: Weights) -> Mapping[str, Floats]:
    """The head's arrays, by the names of `server.tasks.encoding`."""
    dense, out = page.head
    return {
        "dense_weight": whole(take.take(f"{dense}.weight", width, width)),
        "dense_bias": whole(take.take(f"{dense}.bias", width)),
        "weight": whole(take.take(f"{out}.weight", labels, width)),
        "bias": whole(take.take(f"{out}.bias", labels)),
    }


def logits_of(arrays: Mapping[str, Floats], activation: Activation, vectors: Floats) -> Floats:
    """Logits of shape (texts, labels) for vectors of shape (texts, d): the head in numpy."""
    hidden = vectors @ arrays["dense_weight"].T + arrays["dense_bias"]
    hidden = ACTIVATIONS[activation](hidden)
    logits: Floats = hidden @ arrays["weight"].T + arrays["bias"]
    return logits


def _require_served(wanted: Floats, served: Floats, kind: Kind) -> Figure:
    difference = float(np.abs(_probabilities(wanted, kind) - _probabilities(served, kind)).max())
    if not difference <= ALLOWED_DIFFERENCE:
        raise Mismatch("the largest difference of a probability as served", difference, ALLOWED_DIFFERENCE)
    return Figure(NAME, "largest difference of a probability as served", rounded(difference), len(wanted))


def _probabilities(logits: Floats, kind: Kind) -> Floats:
    return sigmoid(logits) if kind == "sigmoid" else softmax(logits)


def _place(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() else (-1, key)
