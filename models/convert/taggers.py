"""Converts token classifiers (names of persons and places, personal data): a layer on every token's hidden state."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.cards import EntitiesSpec, Figure
from models.convert.architectures.bert import Encoder, EncoderPage
from models.convert.architectures.page import Weights
from models.convert.classifiers import FILE, labels_of
from models.convert.contract import Converted, Mismatch, Request
from models.convert.encoders import Body, Floats, write_body
from models.convert.selfcheck import NAME, require_exact, rounded
from models.convert.source import Source
from models.convert.tensors.base import whole
from models.probabilities import softmax

LAYER = "classifier"
"""The name of the layer in every family."""
ALLOWED_DIFFERENCE = 0.1
"""The most root mean square of the difference between a served probability and the one in float32."""


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    tags = labels_of(source, request.labels)

    def read_head(page: EncoderPage, encoder: Encoder, take: Weights) -> Mapping[str, Floats]:
        return {
            "weight": whole(take.take(f"{LAYER}.weight", len(tags), encoder.width)),
            "bias": whole(take.take(f"{LAYER}.bias", len(tags))),
        }

    body = write_body(source, folder, request, "AutoModelForTokenClassification", read_head=read_head)
    np.savez(folder / FILE, **body.head)  # type: ignore[arg-type]
    return Converted(
        task="entities",
        family="encoder",
        context_length_tokens=body.context_tokens,
        parameters=body.parameters,
        tokenizer=body.tokenizer,
        figures=(*body.figures, *_checked(body)),
        entities=EntitiesSpec(tags, FILE),
    )


def _checked(body: Body) -> tuple[Figure, ...]:
    """How near the served probabilities of all tokens are to those in float32, or to the original's.

    Raises:
        Mismatch: they are not near enough.
    """
    if body.exact is None:
        return ()
    wanted, served = (
        np.concatenate(states) @ body.head["weight"].T + body.head["bias"] for states in (body.exact, body.served)
    )
    if body.original is not None:
        original = np.concatenate([each.logits for each in body.original if each.logits is not None])
        require_exact(original, wanted)
        wanted = original
    difference = float(np.sqrt(np.square(softmax(wanted) - softmax(served)).mean()))
    if not difference <= ALLOWED_DIFFERENCE:
        raise Mismatch("the difference of a token's probabilities as served", difference, ALLOWED_DIFFERENCE)
    same = float((wanted.argmax(1) == served.argmax(1)).mean())
    return (
        Figure(
            NAME, "root mean square difference of a token's probability as served", rounded(difference), len(wanted)
        ),
        Figure(NAME, "share of tokens with the same tag as in float32", round(same, 4), len(wanted)),
    )
