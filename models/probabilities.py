"""From logits to probabilities, and what follows the dense layer of a classifier's head."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from models.cards import Activation

Floats = npt.NDArray[np.float32]
FloatT = TypeVar("FloatT", bound=np.floating[Any])


def softmax(logits: npt.NDArray[FloatT]) -> npt.NDArray[FloatT]:
    """Probabilities over the last axis: exponentials that sum to one, of the logits' own type."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), logits.dtype)


def sigmoid(logits: npt.NDArray[FloatT]) -> npt.NDArray[FloatT]:
    """The probability of each logit by itself, of the logits' own type."""
    return np.asarray(1 / (1 + np.exp(-logits)), logits.dtype)


_ERF = np.frompyfunc(math.erf, 1, 1)


def _gelu(hidden: Floats) -> Floats:
    half = np.float32(0.5)
    return np.asarray(hidden * (half + half * _ERF(hidden * np.float32(0.5**0.5)).astype(np.float32)), np.float32)


ACTIVATIONS: Mapping[Activation, Callable[[Floats], Floats]] = {
    "tanh": np.tanh,
    "relu": lambda hidden: np.maximum(hidden, np.float32(0)),
    "gelu": _gelu,
}
