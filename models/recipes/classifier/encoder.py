"""The BERT-type sentence encoder the classifiers train, in plain torch.

Contract: ids of rows that all have the same length in, one vector a token out. There is no
mask: the batches are built of rows of one length (see batches.py). It knows nothing of
tokenizers, heads or files. Parameter names follow the variables of a CTranslate2 encoder, so
that reading and writing a shipped model is a table of names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The sizes of an encoder; the defaults are MiniLM-L6-H384."""

    vocabulary_rows: int = 30522
    positions: int = 512
    width: int = 384
    feed_forward_width: int = 1536
    layers: int = 6
    attention_heads: int = 12
    norm_epsilon: float = 1e-12


def row_dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Dropout with one mask for all tokens of a row: as good here, and few random numbers."""
    if not training or probability == 0.0:
        return x
    mask = torch.empty(x.shape[0], 1, x.shape[2], device=x.device, dtype=x.dtype)
    return x * mask.bernoulli_(1.0 - probability).div_(1.0 - probability)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each followed by its normalisation (post-norm)."""

    def __init__(self, shape: EncoderShape, dropout: float) -> None:
        super().__init__()
        self.attention_heads = shape.attention_heads
        self.dropout = dropout
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.attention_norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.up = nn.Linear(shape.width, shape.feed_forward_width)
        self.down = nn.Linear(shape.feed_forward_width, shape.width)
        self.feed_forward_norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, tokens, width) vectors to as many new ones."""
        rows, tokens, width = x.shape
        qkv = self.qkv(x).view(rows, tokens, 3, self.attention_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        # Spelled out: the fused kernel's backward pass is several times slower on a CPU when
        # the rows are short.
        scores = (query @ key.transpose(-1, -2)) * key.shape[-1] ** -0.5
        attended = (scores.softmax(dim=-1).to(value.dtype) @ value).transpose(1, 2)
        attended = self.out(attended.reshape(rows, tokens, width))
        x = self.attention_norm(x + row_dropout(attended, self.dropout, self.training))
        changed = self.down(functional.gelu(self.up(x)))
        y: Tensor = self.feed_forward_norm(x + row_dropout(changed, self.dropout, self.training))
        return y


class SentenceEncoder(nn.Module):
    """Word, position and segment embeddings, then the layers."""

    def __init__(self, shape: EncoderShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        self.words = nn.Embedding(shape.vocabulary_rows, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.segments = nn.Embedding(2, shape.width)
        self.embedding_norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.layers = nn.ModuleList(EncoderLayer(shape, dropout) for _ in range(shape.layers))

    def forward(self, ids: Tensor) -> Tensor:
        """(rows, tokens) ids to (rows, tokens, width) vectors."""
        places = self.positions.weight[: ids.shape[1]] + self.segments.weight[0]
        x: Tensor = self.embedding_norm(self.words(ids) + places)
        x = row_dropout(x, self.dropout, self.training)
        for layer in self.layers:
            x = layer(x)
        return x
