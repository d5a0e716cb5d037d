"""The manifest of the shipped model: what it is, where its data came from, what was measured.

Knows the facts that no file of the model says; measures nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.recipes.common import write_manifest
from models.recipes.translate.data import read_pairs
from models.recipes.translate.evaluate import Figure
from models.recipes.translate.network import NetworkShape
from models.recipes.translate.section import FOREIGN, SECTION

# name: (licence, origin)
SOURCES = {
    "tatoeba": ("CC BY 2.0 FR", "tatoeba.org and www.manythings.org/anki"),
    "bcontrast": ("CC BY-SA 4.0", "BConTrasT: Unbabel/BConTrasT"),
    "mlqe-pe": ("CC0 1.0", "MLQE-PE: sheffieldnlp/mlqe-pe"),
    "mozilla": ("MPL 2.0", "Mozilla web site and app texts: mozilla-l10n"),
    "pydocs": ("CC0 1.0 (translations), PSF (English)", "Python documentation: python/python-docs-es, python-docs-fr"),
    "europarl": ("no known copyright restriction", "European Parliament proceedings, Europarl v7"),
    "mt-geneval": ("CC BY-SA 3.0", "MT-GenEval: amazon-science/machine-translation-gender-eval"),
    "cocoa-mt": ("CDLA-Sharing 1.0", "CoCoA-MT: amazon-science/contrastive-controlled-mt"),
    "xquad": ("CC BY-SA 4.0", "XQuAD: google-deepmind/xquad"),
    "african-storybook": ("CC BY 4.0", "African Storybook: global-asp/asp-source, global-asp"),
    "dictionary": ("CC BY-SA 3.0 and GFDL", "English Wiktionary translation tables: open-dsl-dict/wiktionary-dict"),
}


def source_rows(data: Path) -> dict[str, int]:
    """Sentence pairs of each source, all languages together."""
    counts: Counter[str] = Counter()
    for language in FOREIGN:
        counts.update(source for _, _, source in read_pairs(data, language, "train"))
        counts["dictionary"] += sum(1 for _ in read_pairs(data, language, "dictionary"))
    return dict(counts.most_common())


def parameter_count(shape: NetworkShape) -> int:
    """Trained numbers; the fixed positions do not count."""
    width, inner = shape.width, shape.feed_forward
    norm = 2 * width
    encoder_layer = 4 * width**2 + 2 * width * inner + 2 * norm
    decoder_layer = 8 * width**2 + 2 * width * inner + 3 * norm
    layers = shape.encoder_layers * encoder_layer + shape.decoder_layers * decoder_layer
    return shape.vocabulary * width + layers + 2 * norm


def write(
    folder: Path, data: Path | None, shape: NetworkShape, figures: Sequence[Figure], model_id: str = "translate"
) -> None:
    """Write model.toml; every other file of the folder must be there, since it holds their checksums.

    Args:
        folder: the model folder.
        data: the data folder, to count each source's rows; None when only own pairs were trained on.
        shape: of the network.
        figures: what was measured so far.
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
            {"name": name, "license": SOURCES[name][0], "origin": SOURCES[name][1], "rows": rows}
            for name, rows in (source_rows(data) if data else {}).items()
        ],
        "figures": [
            {"name": figure.name, "metric": "BLEU", "value": figure.bleu, "rows": figure.rows} for figure in figures
        ],
    }
    write_manifest(folder, top, tables)
