"""Converts rerankers (cross-encoders): classifiers that read a query with a document and give one number.

A head of two labels becomes one of one number, exactly: the probability of the second label is the sigmoid of the
difference of the two logits.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.cards import HeadSpec
from models.convert.architectures.bert import Encoder, EncoderPage
from models.convert.architectures.page import Weights
from models.convert.classifiers import FILE, checked, head_of
from models.convert.contract import CannotConvert, Converted, Request
from models.convert.encoders import Floats, page_of_encoder, write_body
from models.convert.source import Source

LABEL = "relevance"


def convert(source: Source, folder: Path, request: Request) -> Converted:
    """Fill the empty folder, and return the facts for the manifest."""
    if request.labels:
        raise CannotConvert(f"{source.repository} ranks texts: it has no labels to name.")
    page = page_of_encoder(source)
    labels = source.config.get("id2label")
    count = len(labels) if isinstance(labels, Mapping) else 1

    def read_head(page: EncoderPage, encoder: Encoder, take: Weights) -> Mapping[str, Floats]:
        arrays = dict(head_of(page, encoder.width, count, take))
        if count == 2:
            arrays |= {name: np.subtract(*arrays[name][::-1])[None] for name in ("weight", "bias")}
        return arrays

    body = write_body(source, folder, request, "AutoModelForSequenceClassification", read_head=read_head, pairs=True)
    np.savez(folder / FILE, **body.head)  # type: ignore[arg-type]
    return Converted(
        task="rerank",
        family="encoder",
        context_length_tokens=body.context_tokens,
        parameters=body.parameters,
        tokenizer=body.tokenizer,
        figures=(*body.figures, *checked(body, page.activation, "sigmoid")),
        heads=(HeadSpec("rerank", (LABEL,), "sigmoid", "cls", FILE, page.activation),),
    )
