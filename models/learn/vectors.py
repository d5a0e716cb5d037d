"""Pooled vectors of texts, straight from an encoder's files: for training, where no server runs."""

from collections.abc import Callable, Sequence

import numpy as np

from models.learn.fit import Floats
from models.registry import ModelCard
from models.tokenizers import load_tokenizer

BATCH_TOKENS = 1024


class Vectors:
    """An encoder's vectors, pooled by the mean and not normalised, as a head takes them."""

    def __init__(self, card: ModelCard, threads: int) -> None:
        import ctranslate2

        self._tokenizer = load_tokenizer(card)
        self._limit_tokens = card.context_length_tokens
        self._encoder = ctranslate2.Encoder(str(card.folder), compute_type="int8_float32", intra_threads=threads)

    def rows(self, texts: Sequence[str]) -> list[list[int] | None]:
        """The ids of each text; None for one that is longer than the encoder reads."""
        rows = [self._tokenizer.encode_row(text) for text in texts]
        return [row if len(row) <= self._limit_tokens else None for row in rows]

    def encode(self, rows: Sequence[Sequence[int]], progress: Callable[[int], object] = lambda done: None) -> Floats:
        """Vectors of shape (n, d) in the order of the rows; ``progress`` is told how many more are done."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        vectors: list[Floats | None] = [None] * len(rows)
        start = 0
        while start < len(order):
            size = max(1, BATCH_TOKENS // len(rows[order[min(start + 31, len(order) - 1)]]))
            batch = order[start : start + min(size, 32)]
            hidden = np.asarray(self._encoder.forward_batch([list(rows[i]) for i in batch]).last_hidden_state)
            for place, i in enumerate(batch):
                vectors[i] = hidden[place, : len(rows[i])].mean(axis=0)
            start += len(batch)
            progress(len(batch))
        return np.stack([vector for vector in vectors if vector is not None])
