"""The loss of the assistant: weighted cross entropy without the memory of all logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class _LinearCrossEntropy(torch.autograd.Function):
    """Weighted sum of cross entropies of `hidden @ weight.T`, in chunks.

    The gradients are made in the forward pass while a chunk's logits are in the cache, so
    (tokens, vocabulary) logits never exist at once and nothing is computed twice.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        scale: Tensor,
        chunk: int,
    ) -> Tensor:
        dtype = torch.bfloat16
        low = weight.detach().to(dtype)
        grad_hidden = torch.empty_like(hidden, dtype=dtype)
        grad_weight = torch.zeros_like(weight)
        total = torch.zeros((), device=hidden.device)
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            rows = hidden[part].detach().to(dtype)
            log_probabilities = functional.log_softmax(rows @ low.T, -1, dtype=torch.float32)
            target, part_scale = targets[part, None], scale[part, None]
            total -= (log_probabilities.gather(1, target) * part_scale).sum()
            gradient = log_probabilities.exp_()
            gradient.scatter_add_(1, target, torch.full_like(part_scale, -1.0))
            gradient = gradient.mul_(part_scale).to(dtype)
            grad_hidden[part] = gradient @ low
            grad_weight += gradient.T @ rows
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.hidden_dtype = hidden.dtype  # type: ignore[attr-defined]
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors  # type: ignore[attr-defined]
        return (grad_hidden * grad).to(ctx.hidden_dtype), grad_weight * grad, None, None, None  # type: ignore[attr-defined]


def weighted_loss(hidden: Tensor, weight: Tensor, targets: Tensor, scale: Tensor, chunk: int = 512) -> Tensor:
    """sum_i scale_i * cross_entropy_i; positions with scale 0 cost nothing."""
    used = scale.nonzero()[:, 0]
    loss: Tensor = _LinearCrossEntropy.apply(hidden[used], weight, targets[used], scale[used], chunk)  # type: ignore[no-untyped-call]
    return loss
