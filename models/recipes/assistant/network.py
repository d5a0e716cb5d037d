"""The decoder in torch: exactly what CTranslate2 runs as a Llama (RMSNorm, RoPE, SwiGLU, GQA), embeddings scaled.

Tokens of several conversations lie one after another in one flat row: matmuls see all of
them, attention runs per conversation. No padding, and no conversation sees another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ROPE_THETA = 500_000.0  # slow enough that half of the pairs say nothing of the position within 1,024 tokens
NORM_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the decoder; the output layer is tied to the embeddings."""

    vocabulary: int = 6144
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    feed_forward: int = 768
    context_tokens: int = 1024


class RMSNorm(nn.Module):
    """x / rms(x) * weight, in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised rows."""
        return functional.rms_norm(x, (x.shape[-1],), self.weight, NORM_EPSILON)


class Layer(nn.Module):
    """One decoder layer; names follow Llama's."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.input_norm = RMSNorm(shape.width)
        self.qkv = nn.Linear(shape.width, (shape.heads + 2 * shape.kv_heads) * shape.head_width, bias=False)
        self.out = nn.Linear(shape.heads * shape.head_width, shape.width, bias=False)
        self.ffn_norm = RMSNorm(shape.width)
        self.gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, lengths: Sequence[int]) -> Tensor:
        """The rows after attention and feed-forward, each added to its input."""
        x = x + self.out(self._attend(self.qkv(self.input_norm(x)), cosine, sine, lengths))
        y = self.ffn_norm(x)
        added: Tensor = self.down(functional.silu(self.gate(y)) * self.up(y))
        return x + added

    def _attend(self, qkv: Tensor, cosine: Tensor, sine: Tensor, lengths: Sequence[int]) -> Tensor:
        s = self.shape
        heads = qkv.view(-1, s.heads + 2 * s.kv_heads, s.head_width)
        rotated = _rotate(heads[:, : s.heads + s.kv_heads], cosine, sine)
        queries = rotated[:, : s.heads]
        groups = s.heads // s.kv_heads
        keys = rotated[:, s.heads :].repeat_interleave(groups, 1)
        values = heads[:, s.heads + s.kv_heads :].repeat_interleave(groups, 1)
        parts = zip(*(torch.split(t, list(lengths)) for t in (queries, keys, values)), strict=True)
        out = [_causal_attention(*part) for part in parts]
        return torch.cat(out).reshape(-1, s.heads * s.head_width)


def _causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of one conversation, (tokens, heads, width) each.

    On a CPU two bfloat16 products with a softmax between are twice as fast as the fused kernel.
    """
    q, k, v = queries.transpose(0, 1), keys.transpose(0, 1), values.transpose(0, 1)
    if q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0].transpose(0, 1)
    mask = torch.full((q.shape[1], q.shape[1]), float("-inf"), dtype=q.dtype).triu(1)
    scores = torch.baddbmm(mask.expand(len(q), -1, -1), q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    # The softmax stays in the products' type: autocast would make a float32 copy of the scores.
    with torch.autocast("cpu", enabled=False):
        return torch.bmm(scores.softmax(-1), v).transpose(0, 1)


def rotary_frequencies(head_width: int) -> Tensor:
    """Radians a position of each rotary pair, fastest first."""
    return ROPE_THETA ** (-torch.arange(0, head_width, 2).float() / head_width)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary position embedding, halves convention (not interleaved)."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)


class Decoder(nn.Module):
    """Embeddings, layers, final norm. `forward` gives hidden states; logits are `hidden @ embeddings.T`."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embeddings = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width)
        angles = torch.arange(shape.context_tokens).float()[:, None] * rotary_frequencies(shape.head_width)[None]
        self.register_buffer("cosine", angles.cos()[:, None], persistent=False)
        self.register_buffer("sine", angles.sin()[:, None], persistent=False)
        self._initialise()

    @property
    def embedding_scale(self) -> float:
        """The factor of each embedding at the input, as in Gemma: the square root of the width."""
        return self.shape.width**0.5

    def _initialise(self) -> None:
        nn.init.normal_(self.embeddings.weight, std=1 / self.embedding_scale)
        for name, weight in self.named_parameters():
            if weight.ndim == 2 and not name.startswith("embeddings"):
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if name.endswith(("out.weight", "down.weight")):
                weight.data.mul_((2 * self.shape.layers) ** -0.5)

    def forward(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        """Hidden states (tokens, width) of conversations of these lengths laid end to end."""
        positions = torch.cat([torch.arange(length, device=ids.device) for length in lengths])
        x = self.embeddings(ids) * self.embedding_scale
        dtype = torch.get_autocast_dtype(ids.device.type) if torch.is_autocast_enabled(ids.device.type) else x.dtype
        cosine, sine = self.cosine[positions].to(dtype), self.sine[positions].to(dtype)
        for layer in self.layers:
            x = layer(x, cosine, sine, lengths)
        hidden: Tensor = self.norm(x)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every piece, with the tied embeddings."""
        return functional.linear(hidden, self.embeddings.weight)
