"""The manifest of the shipped model: its facts, the origin of its data, its figures.

This module knows the facts that no file of the model has, and measures nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.recipes.common import write_manifest
from models.recipes.translate.data import SOURCE_ROWS
from models.recipes.translate.evaluate import Figure
from models.recipes.translate.network import NetworkShape
from models.recipes.translate.section import SECTION
from models.recipes.translate.sources import sources


def source_rows(work: Path) -> dict[str, int]:
    """Sentence pairs of each source that the data step took, all languages together."""
    rows: dict[str, int] = json.loads((work / SOURCE_ROWS).read_text(encoding="utf-8"))
    return rows


def parameter_count(shape: NetworkShape) -> int:
    """The number of trained weights, without the fixed positions."""
    width, inner = shape.width, shape.feed_forward
    norm = 2 * width
    encoder_layer = 4 * width**2 + 2 * width * inner + 2 * norm
    decoder_layer = 8 * width**2 + 2 * width * inner + 3 * norm
    layers = shape.encoder_layers * encoder_layer + shape.decoder_layers * decoder_layer
    return shape.vocabulary * width + layers + 2 * norm


def write(
    folder: Path,
    rows: Mapping[str, int],
    shape: NetworkShape,
    figures: Sequence[Figure],
    model_id: str = "translate",
) -> None:
    """Write model.toml; every other file of the folder must be there, since it holds their checksums.

    Args:
        folder: the model folder.
        rows: pairs of each source; empty when only own pairs were trained on.
        shape: of the network.
        figures: the figures so far.
        model_id: the name the server's users see.
    """
    top = {
        "id": model_id,
        "task": "translation",
        "family": "hearth-translate",
        "summary": "Translates short everyday text between English and German, French or Spanish.",
        "license": "CC-BY-SA-4.0",
        "created": int(time.time()),
        "context_length_tokens": shape.context_tokens,
        "quantization": "int8_float32",
        "parameters": parameter_count(shape),
    }
    tables: dict[str, Any] = {
        "tokenizer": {"kind": "sentencepiece", "file": "tokenizer.model"},
        "translation": {
            "languages": SECTION.languages,
            "pairs": SECTION.pairs,
            "target_token": SECTION.target_token,
            "beam_size": SECTION.beam_size,
            "max_target_ratio": SECTION.max_target_ratio,
        },
        "sources": [
            {"name": name, "license": sources()[name].licence, "origin": sources()[name].origin, "rows": count}
            for name, count in rows.items()
        ],
        "figures": [
            {"name": figure.name, "metric": "BLEU", "value": figure.bleu, "rows": figure.rows} for figure in figures
        ],
    }
    write_manifest(folder, top, tables)
