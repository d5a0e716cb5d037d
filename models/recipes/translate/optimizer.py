"""Muon for the layers' matrices, Adam for the embedding table and the norms.

The network's parameters may be bfloat16: the exact values live here in float32, with their moving
average, which is the better model while the learning rate is high. Muon (momentum made orthogonal
by Newton-Schulz steps) learns more per row than Adam, which is worth its cost where compute is
scarce.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """(n, rows, columns), rows <= columns: nearly the closest matrices with unit singular values."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _as_stack(values: Tensor, width: int) -> Tensor:
    """A layer's matrix as (n, width, columns): fused projections are split, the rest turned."""
    rows, columns = values.shape
    if columns == width and rows in (width, 2 * width, 3 * width):
        return values.view(-1, width, width)
    return (values if rows == width else values.mT)[None]


class MuonAdam:
    """Updates a network from the gradients in it, whatever the type of its parameters."""

    def __init__(
        self,
        network: nn.Module,
        width: int,
        *,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.1,
        average_decay: float = 0.999,
    ) -> None:
        self._parameters = dict(network.named_parameters())
        self._width = width
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._average_decay = average_decay
        self.exact = {name: p.detach().float().clone() for name, p in self._parameters.items()}
        self.average = {name: value.clone() for name, value in self.exact.items()}
        self._momentum = {name: torch.zeros_like(value) for name, value in self.exact.items()}
        self._adam_names = [name for name, p in self._parameters.items() if p.dim() == 1 or "embedding" in name]
        self._second = {name: torch.zeros_like(self.exact[name]) for name in self._adam_names}
        self._groups: dict[int, list[str]] = defaultdict(list)
        for name, value in self.exact.items():
            if name not in self._second:
                self._groups[_as_stack(value, width).shape[2]].append(name)
        self.step_count = 0

    @torch.no_grad()
    def step(self, rate: float, largest_norm: float = 1.0) -> float:
        """One update at `rate` times the learning rate; returns the gradient norm."""
        self.step_count += 1
        gradients = {n: p.grad.float() for n, p in self._parameters.items() if p.grad is not None}
        norms = torch._foreach_norm(list(gradients.values()))
        norm = float(torch.stack(norms).norm())
        torch._foreach_mul_(list(gradients.values()), min(1.0, largest_norm / (norm + 1e-6)))
        self._adam(gradients, rate * self._learning_rate)
        self._muon(gradients, rate * self._learning_rate)
        names = list(self.exact)
        exact = [self.exact[name] for name in names]
        torch._foreach_copy_([self._parameters[name] for name in names], exact)
        decay = min(self._average_decay, self.step_count / (self.step_count + 10))
        torch._foreach_lerp_([self.average[name] for name in names], exact, 1.0 - decay)
        return norm

    def _adam(self, gradients: dict[str, Tensor], rate: float) -> None:
        first, second = 0.9, 0.98
        for name in self._adam_names:
            gradient, mean, square = gradients[name], self._momentum[name], self._second[name]
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            spread = (square / (1 - second**self.step_count)).sqrt_().add_(1e-9)
            self.exact[name].addcdiv_(mean, spread, value=-rate / (1 - first**self.step_count))

    def _muon(self, gradients: dict[str, Tensor], rate: float) -> None:
        for columns, names in self._groups.items():
            parts: list[Tensor] = []
            for name in names:
                momentum = self._momentum[name]
                momentum.lerp_(gradients[name], 0.05)
                ahead = torch.lerp(gradients[name], momentum, 0.95)
                parts.append(_as_stack(ahead, self._width))
            updates = orthogonalised(torch.cat(parts))
            # The size of an Adam update, so that one learning rate serves both.
            scale = -rate * 0.2 * max(self._width, columns) ** 0.5
            used = 0
            for name, part in zip(names, parts, strict=True):
                stack = _as_stack(self.exact[name], self._width)
                stack.mul_(1.0 - rate * self._weight_decay)
                stack.add_(updates[used : used + len(part)], alpha=scale)
                used += len(part)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "exact": self.exact,
            "average": self.average,
            "momentum": self._momentum,
            "second": self._second,
            "step_count": self.step_count,
        }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint: also puts the exact values into the network."""
        for name in ("exact", "average"):
            for key, value in getattr(self, name).items():
                value.copy_(state[name][key])
        for key, value in self._momentum.items():
            value.copy_(state["momentum"][key])
        for key, value in self._second.items():
            value.copy_(state["second"][key])
        self.step_count = state["step_count"]
        for key, parameter in self._parameters.items():
            parameter.copy_(self.exact[key])
