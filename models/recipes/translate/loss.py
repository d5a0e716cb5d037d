"""Label-smoothed cross entropy fused with the output projection.

The gradient is computed along with the loss, chunk by chunk while the logits are in cache: the
softmax is evaluated once and no (tokens, vocabulary) array is kept for the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_TOKENS = 256


class _FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, table: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        tokens, vocabulary = len(labels), table.shape[0]
        hidden_gradient = torch.empty_like(hidden)
        table_gradient = torch.zeros_like(table, dtype=torch.float32)
        entropy = hidden.new_zeros((), dtype=torch.float32)
        smooth = smoothing / vocabulary
        for start in range(0, tokens, CHUNK_TOKENS):
            part = slice(start, start + CHUNK_TOKENS)
            logits = (hidden[part] @ table.T).float()
            own = logits.gather(1, labels[part, None])
            normaliser = torch.logsumexp(logits, 1, keepdim=True)
            entropy += (normaliser - own).sum()
            chances = logits.sub_(normaliser).exp_()
            chances.sub_(smooth)
            chances.scatter_add_(1, labels[part, None], torch.full_like(own, smoothing - 1.0))
            gradient = chances.to(hidden.dtype)
            hidden_gradient[part] = gradient @ table
            table_gradient += gradient.T @ hidden[part]
        ctx.save_for_backward(hidden_gradient / tokens, (table_gradient / tokens).to(table.dtype))
        mean = entropy / tokens
        ctx.mark_non_differentiable(mean)
        return hidden.new_zeros(()), mean

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_gradient, table_gradient = ctx.saved_tensors
        return hidden_gradient * scale, table_gradient * scale, None, None


def backward_cross_entropy(hidden: Tensor, table: Tensor, labels: Tensor, smoothing: float) -> float:
    """Run the backward pass of the mean loss; returns the mean entropy without smoothing."""
    handle, entropy = _FusedCrossEntropy.apply(hidden, table, labels, smoothing)  # type: ignore[no-untyped-call]
    handle.backward()
    return float(entropy)
