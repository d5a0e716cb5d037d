"""What encoders do: classification by a head, and embeddings. One row a text, batched with everyone else's."""

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from models.registry import ModelCard
from server.engines.rows import EncoderRow
from server.errors import InvalidValue
from server.tasks.heads import Floats, Head
from server.tasks.model import Model
from server.tasks.results import Done, Scores, Usage


class Classification:
    """Scores for texts from one head of a classifier."""

    def __init__(self, model: Model, head: Head) -> None:
        self._model = model
        self._head = head

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def head(self) -> Head:
        """The head that scores."""
        return self._head

    async def classify(self, texts: Sequence[str]) -> Done[Scores]:
        """Classify texts independently.

        Args:
            texts: n texts, each non-empty.

        Returns:
            Scores in the order of ``texts``, labels as in the manifest.

        Raises:
            InvalidValue: a text is empty.
            InputTooLong: a text has more tokens than the model's context. Checked for all texts before
                any is queued, so a refused request costs the engine nothing.
            Unavailable, Overloaded, TooLarge: not now, or not so much at once.
        """
        done = await encode(self._model, texts, self._head.spec.pooling)
        probabilities = self._head.probabilities(np.stack(list(done.items)))
        labels = self._head.spec.labels
        items = [Scores(dict(zip(labels, map(float, row), strict=True))) for row in probabilities]
        return Done(items, done.usage, done.timing, done.tokenization_s)


class Embedding:
    """Vectors for texts."""

    def __init__(self, model: Model, pooling: Literal["mean", "cls"], normalize: bool) -> None:
        self._model = model
        self._pooling = pooling
        self._normalize = normalize

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    async def embed(self, inputs: Sequence[str | Sequence[int]]) -> Done[Floats]:
        """Embed texts or token ids independently; raises as ``Classification.classify``."""
        done = await encode(self._model, inputs, self._pooling)
        if not self._normalize:
            return done
        return Done([unit(v) for v in done.items], done.usage, done.timing, done.tokenization_s)


def unit(vector: Floats) -> Floats:
    """The vector at length 1; the null vector stays."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


async def encode(model: Model, inputs: Sequence[str | Sequence[int]], pooling: Literal["mean", "cls"]) -> Done[Floats]:
    """Pooled vectors of shape (d,) for texts or ids; see ``Classification.classify`` for what it raises."""
    began_s = time.perf_counter()
    model.require_ready()
    rows = [_ids(model, item, index) for index, item in enumerate(inputs)]
    model.require_fits(rows)
    tokenization_s = time.perf_counter() - began_s
    job = model.batcher.submit([EncoderRow(row, pooling) for row in rows])
    try:
        results = await job.results()
    finally:
        job.cancel()
    usage = Usage(sum(len(row) for row in rows))
    return Done([result.vector for result in results], usage, job.timing, tokenization_s)


def _ids(model: Model, item: str | Sequence[int], index: int) -> list[int]:
    if not isinstance(item, str):
        if not item:
            raise InvalidValue(f"Input {index} is empty.", "input")
        model.require_ids([item], "input")
        return list(item)
    if not item.strip():
        raise InvalidValue(f"Input {index} is empty.", "input")
    try:
        return model.tokenizer.encode_row(item)
    except ValueError as error:
        raise InvalidValue(f"Input {index}: {error}", "input") from None
