"""Ranks documents for a query: by a cross-encoder, which reads each pair, or by the vectors of an embedding model.

A document that is longer than the model reads is read in windows, and its best window counts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, Protocol

import numpy as np

from models.probabilities import sigmoid
from models.registry import ModelCard
from models.tokenizers import Pair
from server.engines.rows import EncoderRow
from server.errors import InputTooLong, InvalidValue
from server.tasks.encoding import Embedding, Floats, Head, encode, unit
from server.tasks.fitting import Cut, Row, Truncation, inner, row_of, windows
from server.tasks.model import Model
from server.tasks.offload import SMALL_PRODUCTS, offload, size_of
from server.tasks.results import Done

Method = Literal["cross-encoder", "bi-encoder"]

OVERLAP_TOKENS = 32
"""The tokens that neighbouring windows of a document share, so that no sentence is only read in halves."""
LEAST_ROOM_TOKENS = 64
"""The tokens of a document that a query must leave room for."""
QUERY, PASSAGE = ("query", "search_query"), ("passage", "document", "search_document")
"""Names of an embedding model's prompts for the two kinds of text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The part of a document that is read."""

    document_tokens: int | None = None
    """Only so many tokens of each document; None: all of them."""
    windows: int | None = None
    """Only so many windows of each document; None: as many as it needs. 0: a document that needs two is refused."""
    truncation: Truncation | None = None
    """Cut each pair to this length, so that none is read in windows."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """The relevance of one document."""

    index: int
    score: float
    """Cross-encoders: a probability. Bi-encoders: the cosine, -1 to 1."""
    raw: float
    """Cross-encoders: the logit of the score. Bi-encoders: the cosine."""
    windows: int = 1
    """The number of windows that were read."""


class Ranker(Protocol):
    """Something that ranks documents."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""

    @property
    def method(self) -> Method:
        """How it ranks."""

    async def rank(self, query: str, documents: Sequence[str], reading: Reading) -> Done[Relevance]:
        """Rank n documents for a query.

        Returns:
            n items, the most relevant first; equal ones in the order of ``documents``.

        Raises:
            InvalidValue: a text is empty or not Unicode.
            InputTooLong: the query leaves no room for documents, or a document that must fit does not.
            Unavailable, Overloaded, TooLarge: as ``Classification.classify``.
        """


class PairRanker(ABC):
    """Ranks by a model that reads the query together with a document and gives one number."""

    method: Method = "cross-encoder"

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def row_tokens(self) -> int:
        """The most tokens of a row."""
        return self.card.context_length_tokens

    @abstractmethod
    def pairs(self, query: str, documents: Sequence[str]) -> list[Pair]:
        """The query with each document, as the model reads them.

        Raises:
            ValueError: a text is not Unicode.
        """

    @abstractmethod
    async def logits(self, prepare: Callable[[], Sequence[Pair]], size: int) -> Done[float]:
        """The numbers of the pairs that ``prepare`` makes, from work of this size (``offload``)."""

    async def rank(self, query: str, documents: Sequence[str], reading: Reading) -> Done[Relevance]:
        """Rank as ``Ranker`` says. The pairs of a request share batches with each other and with other requests."""
        counts: list[int] = []

        def prepare() -> list[Pair]:
            _require_texts(query, documents)
            try:
                pairs = self.pairs(query, documents)
            except ValueError as error:
                raise InvalidValue(f"A text of the request: {error}.", "documents") from None
            return self._fitted(pairs, reading, counts)

        done = await self.logits(prepare, size_of([query, *documents]))
        best, scores = _best(np.array(done.items, np.float32), counts), []
        for index, (raw, score) in enumerate(zip(best.tolist(), sigmoid(best).tolist(), strict=True)):
            scores.append(Relevance(index, score, raw, counts[index]))
        return Done(_sorted(scores), done.usage, done.timing)

    def _fitted(self, pairs: Sequence[Pair], reading: Reading, counts: list[int]) -> list[Pair]:
        """The pairs that are read for those of the request, which fit. ``counts`` gets the number for each."""
        context = self.row_tokens
        cut = None if reading.truncation is None else Cut(self._model, reading.truncation, context)
        fitted: list[Pair] = []
        for index, pair in enumerate(pairs):
            if reading.document_tokens is not None:
                pair = replace(pair, second=pair.second[: reading.document_tokens])
            if cut is not None or len(pair) <= context:
                fitted.append(pair if cut is None else cut.pair(pair))
                counts.append(1)
                continue
            _require_room(pair.around, len(pair), index, context, reading)
            found = windows(len(pair.second), context - pair.around, OVERLAP_TOKENS)[: reading.windows]
            counts.append(len(found))
            self._model.batcher.require_room(len(fitted) + len(found))
            fitted += [replace(pair, second=pair.second[a:b]) for a, b in found]
        return fitted


class CrossEncoder(PairRanker):
    """Ranks by an encoder whose head gives one number for a pair."""

    def __init__(self, model: Model, head: Head) -> None:
        super().__init__(model)
        self._head = head

    def pairs(self, query: str, documents: Sequence[str]) -> list[Pair]:
        """The query with each document, as the tokenizer's file writes pairs."""
        return self._model.tokenizer.encode_pairs(query, documents)

    async def logits(self, prepare: Callable[[], Sequence[Pair]], size: int) -> Done[float]:
        """The numbers of the pairs."""
        pooling = self._head.spec.pooling
        done = await encode(self._model, lambda: [EncoderRow(row.ids, pooling, row.types) for row in prepare()], size)
        logits = await self._head.apply(self._head.logits, done.items)
        return Done(logits[:, 0].tolist(), done.usage, done.timing)


class BiEncoder:
    """Ranks by the cosine of vectors of an embedding model, which reads the query and each document apart."""

    method: Method = "bi-encoder"

    def __init__(self, model: Model, embedding: Embedding) -> None:
        self._model = model
        self._pooling = embedding.pooling
        prompts = model.card.embedding.prompts if model.card.embedding is not None else {}
        self._query, self._passage = (
            next((prompts[name] for name in names if name in prompts), "") for names in (QUERY, PASSAGE)
        )

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    async def rank(self, query: str, documents: Sequence[str], reading: Reading) -> Done[Relevance]:
        """Rank as ``Ranker`` says. The query and all documents are embedded as one request."""
        counts: list[int] = []

        def prepare() -> list[EncoderRow]:
            _require_texts(query, documents)
            cut = None if reading.truncation is None else Cut(self._model, reading.truncation)
            asked = row_of(self._model, self._query + query, 0, cut)
            if len(asked) > self.card.context_length_tokens:
                raise InputTooLong(len(asked), self.card.context_length_tokens, 0, "query")
            rows = [self._windows(document, index, cut, reading) for index, document in enumerate(documents)]
            counts.extend(map(len, rows))
            return [EncoderRow(row, self._pooling) for row in (asked, *(row for some in rows for row in some))]

        done = await encode(self._model, prepare, size_of([query, *documents]))
        products = 2 * len(done.items) * done.items[0].size
        cosines = await offload(lambda: _cosines(done.items), products, SMALL_PRODUCTS)
        best = _best(cosines, counts).tolist()
        scores = [Relevance(index, cosine, cosine, counts[index]) for index, cosine in enumerate(best)]
        return Done(_sorted(scores), done.usage, done.timing)

    def _windows(self, document: str, index: int, cut: Cut | None, reading: Reading) -> list[Row]:
        """The rows of a document. Each window has the model's prompt for documents."""
        text, context = self._passage + document, self.card.context_length_tokens
        row = row_of(self._model, text, index, cut)
        if cut is not None or (reading.document_tokens is None and len(row) <= context):
            return [row]
        begin, end = inner(self._model.tokenizer, row, text)
        begin += len(self._model.tokenizer.encode(self._passage)) if self._passage else 0
        kept = row[begin:end][: reading.document_tokens]
        around = len(row) - (end - begin)
        if around + len(kept) > context:
            _require_room(around, len(row), index, context, reading)
        found = windows(len(kept), context - around, OVERLAP_TOKENS)[: reading.windows]
        self._model.batcher.require_room(len(found))
        return [[*row[:begin], *kept[a:b], *row[end:]] for a, b in found]


def _require_texts(query: str, documents: Sequence[str]) -> None:
    if not query.strip():
        raise InvalidValue("The query is empty.", "query")
    for index, document in enumerate(documents):
        if not document.strip():
            raise InvalidValue(f"Document {index} is empty.", f"documents.{index}")


def _require_room(around: int, tokens: int, index: int, context: int, reading: Reading) -> None:
    """Refuse a document that may not be read in windows, and a query that leaves no room for windows."""
    if reading.windows == 0:
        raise InputTooLong(tokens, context, index, "documents")
    if context - around < LEAST_ROOM_TOKENS:
        raise InvalidValue(
            f"The query is too long: with it a document has {max(0, context - around)} of {context} tokens, and must "
            f"have at least {LEAST_ROOM_TOKENS}.",
            "query",
        )


def _cosines(vectors: Sequence[Floats]) -> Floats:
    """The cosines of the first vector with each of the others."""
    first, *others = (unit(vector) for vector in vectors)
    return np.clip(np.array([np.dot(first, other) for other in others], np.float32), -1, 1)


def _best(values: Floats, counts: Sequence[int]) -> Floats:
    """The largest of each document's values, of which it has ``counts``."""
    ends = list(accumulate(counts))
    return np.array([values[end - count : end].max() for end, count in zip(ends, counts, strict=True)], np.float32)


def _sorted(found: Sequence[Relevance]) -> Sequence[Relevance]:
    return sorted(found, key=lambda each: -each.raw)
