"""From logits to probabilities."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

FloatT = TypeVar("FloatT", bound=np.floating[Any])


def softmax(logits: npt.NDArray[FloatT]) -> npt.NDArray[FloatT]:
    """Probabilities over the last axis: exponentials that sum to one, of the logits' own type."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), logits.dtype)


def sigmoid(logits: npt.NDArray[FloatT]) -> npt.NDArray[FloatT]:
    """The probability of each logit by itself, of the logits' own type."""
    return np.asarray(1 / (1 + np.exp(-logits)), logits.dtype)
