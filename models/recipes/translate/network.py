"""The network: a pre-norm Transformer whose layout CTranslate2 runs exactly.

One embedding table serves source, target and output. Positions are fixed sinusoids, so that
rows longer than most training rows still work. Knows token ids, never text or languages.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """The sizes of the network."""

    vocabulary: int
    width: int = 256
    heads: int = 4
    feed_forward: int = 1024
    encoder_layers: int = 6
    decoder_layers: int = 2
    context_tokens: int = 256

    def as_dict(self) -> dict[str, int]:
        """For a checkpoint."""
        return asdict(self)


def sinusoids(positions: int, width: int) -> Tensor:
    """(positions, width) table: sines in the first half, cosines in the second."""
    rates = torch.exp(torch.arange(width // 2) * (-math.log(10_000.0) / (width // 2 - 1)))
    angles = torch.arange(positions)[:, None] * rates[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=(2.0 / (inputs + outputs)) ** 0.5)
    return layer


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention written out: on short rows its backward pass beats the fused kernel on a CPU."""
    scores = (query * query.shape[-1] ** -0.5) @ key.mT
    if causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(ahead, float("-inf"))
    elif mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.matmul(scores.softmax(-1), value)


class Attention(nn.Module):
    """Self-attention when `memory` is not given, else attention over the encoder's output."""

    def __init__(self, width: int, heads: int, cross: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        if cross:
            self.query = _linear(width, width)
            self.key_value = _linear(width, 2 * width)
        else:
            self.query_key_value = _linear(width, 3 * width)
        self.out = _linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        return x.view(rows, tokens, self.heads, width // self.heads).transpose(1, 2)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Rows in, rows of the same shape out."""
        normed = self.norm(x)
        if memory is None:
            query, key, value = self.query_key_value(normed).chunk(3, dim=-1)
        else:
            query = self.query(normed)
            key, value = self.key_value(memory).chunk(2, dim=-1)
        mixed = _attend(self._split(query), self._split(key), self._split(value), mask, causal)
        return torch.add(x, self.out(mixed.transpose(1, 2).reshape(x.shape)))


class FeedForward(nn.Module):
    """Two layers with a ReLU between them."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = _linear(width, inner)
        self.down = _linear(inner, width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Rows in, rows of the same shape out."""
        update = self.down(functional.relu(self.up(self.norm(x))))
        if self.dropout > 0.0:
            update = functional.dropout(update, self.dropout, self.training)
        return torch.add(x, update)


class EncoderLayer(nn.Module):
    """Attention over the source, then the feed-forward part."""

    def __init__(self, shape: NetworkShape, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(shape.width, shape.heads, cross=False)
        self.feed_forward = FeedForward(shape.width, shape.feed_forward, dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Rows in, rows of the same shape out."""
        out: Tensor = self.feed_forward(self.attention(x, mask=mask))
        return out


class DecoderLayer(nn.Module):
    """Attention over the target so far and over the source, then the feed-forward part."""

    def __init__(self, shape: NetworkShape, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(shape.width, shape.heads, cross=False)
        self.cross_attention = Attention(shape.width, shape.heads, cross=True)
        self.feed_forward = FeedForward(shape.width, shape.feed_forward, dropout)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Rows in, rows of the same shape out."""
        x = self.attention(x, causal=True)
        out: Tensor = self.feed_forward(self.cross_attention(x, memory, mask))
        return out


class Network(nn.Module):
    """Encoder, decoder and the embedding table they share."""

    positions: Tensor

    def __init__(self, shape: NetworkShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.embedding.weight, std=shape.width**-0.5)
        self.register_buffer("positions", sinusoids(2 * shape.context_tokens, shape.width), persistent=False)
        self.encoder = nn.ModuleList(EncoderLayer(shape, dropout) for _ in range(shape.encoder_layers))
        self.encoder_norm = nn.LayerNorm(shape.width)
        self.decoder = nn.ModuleList(DecoderLayer(shape, dropout) for _ in range(shape.decoder_layers))
        self.decoder_norm = nn.LayerNorm(shape.width)

    def _embed(self, ids: Tensor) -> Tensor:
        scaled = self.embedding(ids) * self.shape.width**0.5
        return torch.add(scaled, self.positions[: ids.shape[1]].to(scaled.dtype))

    def forward(self, source: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states that the embedding table turns into logits.

        `mask` is (rows, 1, 1, source tokens), true where there is a token; None when no row
        is padded. Padding behind the target needs no mask: attention there is causal.
        """
        memory = self._embed(source)
        for layer in self.encoder:
            memory = layer(memory, mask)
        memory = self.encoder_norm(memory)
        x = self._embed(target)
        for layer in self.decoder:
            x = layer(x, memory, mask)
        out: Tensor = self.decoder_norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every piece of the vocabulary."""
        return functional.linear(hidden, self.embedding.weight)
