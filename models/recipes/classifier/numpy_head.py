"""The classifier head in numpy, as the server applies it.

Contract: mean-pooled vectors in, logits and probabilities out. It knows nothing of torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["softmax", "sigmoid"]
Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class NumpyHead:
    """A head as the server applies it."""

    weight: Vectors
    bias: Vectors
    dense_weight: Vectors | None
    dense_bias: Vectors | None

    @classmethod
    def load(cls, file: Path) -> NumpyHead:
        """Read the arrays that `Head.save` wrote; the dense layer may be missing."""
        with np.load(file, allow_pickle=False) as arrays:
            dense = "dense_weight" in arrays
            return cls(
                arrays["weight"],
                arrays["bias"],
                arrays["dense_weight"] if dense else None,
                arrays["dense_bias"] if dense else None,
            )

    def logits(self, pooled: Vectors) -> Vectors:
        """(rows, width) vectors to (rows, labels) logits."""
        if self.dense_weight is not None and self.dense_bias is not None:
            pooled = np.tanh(pooled @ self.dense_weight.T + self.dense_bias)
        return pooled @ self.weight.T + self.bias


def probabilities_of(logits: Vectors, kind: Kind, temperature: float) -> Vectors:
    """Softmax over, or sigmoid of, the logits divided by the temperature."""
    scaled = logits / temperature
    if kind == "sigmoid":
        yes: Vectors = 1.0 / (1.0 + np.exp(-scaled))
        return yes
    shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Vectors = shifted / shifted.sum(axis=1, keepdims=True)
    return shares
