"""The classifier head in torch, for training, and its loss.

Contract: vectors of rows in, one logit a label out. NaN targets are not annotated and cost no loss: a softmax then
covers the annotated labels only. `save` writes the arrays that numpy_head.py and the server read. It knows nothing of
encoders or text.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.recipes.classifier.numpy_head import Kind


class Head(nn.Module):
    """Mean-pooled vector, dense layer with tanh, one logit a label."""

    def __init__(self, width: int, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, labels)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """(rows, width) vectors to (rows, labels) logits."""
        hidden = torch.tanh(self.dense(self.dropout(pooled)))
        logits: Tensor = self.out(self.dropout(hidden))
        return logits

    def save(self, file: Path) -> None:
        """Write the arrays the server reads."""

        def array(parameter: Tensor) -> NDArray[np.float32]:
            values: NDArray[np.float32] = parameter.detach().float().cpu().numpy()
            return values

        np.savez(
            file,
            dense_weight=array(self.dense.weight),
            dense_bias=array(self.dense.bias),
            weight=array(self.out.weight),
            bias=array(self.out.bias),
        )


def loss_rows(logits: Tensor, targets: Tensor, kind: Kind, smoothing: float) -> Tensor:
    """The loss of each row."""
    known = ~torch.isnan(targets)
    wanted = torch.where(known, targets, torch.zeros_like(targets))
    if kind == "sigmoid":
        wanted = wanted * (1.0 - smoothing) + 0.5 * smoothing
        each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (each * known).sum(dim=1)
    labels = known.sum(dim=1, keepdim=True)
    wanted = wanted * (1.0 - smoothing) + smoothing / labels
    log_probabilities = logits.masked_fill(~known, -1e9).log_softmax(dim=1)
    return -(wanted * log_probabilities * known).sum(dim=1)


def divergence_rows(first: Tensor, second: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Of each row, the mean of both Kullback-Leibler divergences between two predictions, over the annotated labels."""
    known = ~torch.isnan(targets)
    if kind == "sigmoid":
        gap = torch.sigmoid(first) - torch.sigmoid(second)
        return 0.5 * (gap * (first - second) * known).sum(dim=1)
    one, other = (logits.masked_fill(~known, -1e9).log_softmax(dim=1) for logits in (first, second))
    return 0.5 * ((one.exp() - other.exp()) * (one - other) * known).sum(dim=1)
