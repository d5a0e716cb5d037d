"""Classifier heads: a pooled vector to probabilities, in numpy. Kept beside the model, never pickled."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.cards import HeadSpec
from models.probabilities import ACTIVATIONS, sigmoid, softmax

Floats = npt.NDArray[np.float32]


class Head:
    """A linear layer on the pooled vector, with a dense layer before it where the file has one."""

    def __init__(self, spec: HeadSpec, folder: Path) -> None:
        """Load the head's arrays.

        Raises:
            ValueError: the file is no archive of arrays, or they are missing, of wrong shapes, or not finite.
        """
        self.spec = spec
        try:
            with (folder / spec.file).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                self._weight = np.asarray(file["weight"], np.float32)
                self._bias = np.asarray(file["bias"], np.float32)
                dense = "dense_weight" in file
                self._dense = np.asarray(file["dense_weight"], np.float32) if dense else None
                self._dense_bias = np.asarray(file["dense_bias"], np.float32) if dense else None
        except (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{spec.file}, the head '{spec.name}', cannot be read: {error!r}") from error
        if self._weight.shape[0] != len(spec.labels) or self._bias.shape != (len(spec.labels),):
            raise ValueError(f"the head '{spec.name}' has weights of shape {self._weight.shape} for {spec.labels}")
        if self._dense is not None and self._dense.shape[0] != self._weight.shape[1]:
            raise ValueError(
                f"the head '{spec.name}' has a dense layer of shape {self._dense.shape} before {self._weight.shape}"
            )
        arrays = [each for each in (self._weight, self._bias, self._dense, self._dense_bias) if each is not None]
        if not all(np.isfinite(each).all() for each in arrays):
            raise ValueError(f"the head '{spec.name}' has weights that are no numbers")

    @property
    def products(self) -> int:
        """How many products of two numbers one vector costs."""
        return self._weight.size + (0 if self._dense is None else self._dense.size)

    def probabilities(self, vectors: Floats) -> Floats:
        """Probabilities of the labels.

        Args:
            vectors: pooled hidden states, shape (n, d).

        Returns:
            shape (n, labels): softmax rows sum to one, sigmoid labels are independent.
        """
        hidden = vectors
        if self._dense is not None and self._dense_bias is not None:
            hidden = ACTIVATIONS[self.spec.activation](_product(hidden, self._dense) + self._dense_bias)
        logits = (_product(hidden, self._weight) + self._bias) / np.float32(self.spec.temperature)
        if self.spec.kind == "sigmoid":
            return sigmoid(logits)
        return softmax(logits)

    def pool(self, probabilities: Floats, tokens: Sequence[int]) -> Floats:
        """One text's probabilities from those of its chunks (docs/classification.md has the comparison of rules).

        Args:
            probabilities: shape (chunks, labels).
            tokens: how many each chunk has.

        Returns:
            shape (labels,). Labels that exclude each other (softmax): the mean, weighted by tokens. Independent
            ones (sigmoid): the largest of each, for a text has what any part of it has.
        """
        if self.spec.kind == "sigmoid":
            return np.asarray(probabilities.max(axis=0), np.float32)
        return np.asarray(np.average(probabilities, axis=0, weights=tokens), np.float32)


def _product(vectors: Floats, weight: Floats) -> Floats:
    """``vectors @ weight.T`` on one thread.

    BLAS would share so small a product among threads that then spin on the cores engines compute with:
    ten times the processor time. It would also round a row differently in different company.
    """
    product: Floats = np.einsum("nd,hd->nh", vectors, weight)
    return product
