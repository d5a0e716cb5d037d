"""Inference with the server's method: CTranslate2 and numpy, no torch.

Contract: texts in; mean-pooled vectors or probabilities out, in the order of the texts. The
mean runs over a row's own tokens: CTranslate2 fills padded places with copies of the last
token. This module computes every figure of a model card. It knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from models.recipes.classifier.numpy_head import Kind, NumpyHead, probabilities_of
from models.recipes.classifier.tokens import encode_rows, load_tokenizer

Vectors = NDArray[np.float32]


class EngineEncoder:
    """A converted encoder and its tokenizer."""

    def __init__(self, folder: Path, limit_tokens: int, threads: int = 1) -> None:
        self._engine: Any = ctranslate2.Encoder(str(folder), intra_threads=threads, inter_threads=1)
        self._tokenizer = load_tokenizer(folder / "tokenizer.json")
        self._limit_tokens = limit_tokens

    def pooled(self, texts: Sequence[str], batch_rows: int = 16) -> Vectors:
        """The mean vector of each text; similar lengths share a batch."""
        ids = encode_rows(self._tokenizer, texts, self._limit_tokens)
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        vectors: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), batch_rows):
            chosen = order[start : start + batch_rows]
            output = self._engine.forward_batch([ids[index] for index in chosen])
            hidden = np.array(output.last_hidden_state)
            for place, index in enumerate(chosen):
                vectors[index] = hidden[place, : len(ids[index])].mean(axis=0)
        return np.stack([vectors[index] for index in range(len(ids))])

    def embeddings(self, texts: Sequence[str]) -> Vectors:
        """Mean vectors of length one."""
        pooled = self.pooled(texts)
        normalised: Vectors = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return normalised


class EngineClassifier:
    """A converted encoder and one head."""

    def __init__(self, folder: Path, head: str, kind: Kind, temperature: float, limit_tokens: int) -> None:
        self._encoder = EngineEncoder(folder, limit_tokens)
        self._head = NumpyHead.load(folder / f"{head}.npz")
        self._kind = kind
        self._temperature = temperature

    def logits(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        """One row of logits a text."""
        return self._head.logits(self._encoder.pooled(texts))

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        """One row of calibrated probabilities a text."""
        return probabilities_of(self.logits(texts), self._kind, self._temperature)
