"""Turns logits into probabilities; has the activations after the dense layer of a classification head."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from models.cards import Activation

Floats = npt.NDArray[np.float32]
FloatT = TypeVar("FloatT", bound=np.floating[Any])


def softmax(logits: npt.NDArray[FloatT]) -> npt.NDArray[FloatT]:
    """Softmax over the last axis, in the logits' own type."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), logits.dtype)


def sigmoid(logits: npt.NDArray[FloatT]) -> npt.NDArray[FloatT]:
    """Sigmoid of each logit, in the logits' own type."""
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
