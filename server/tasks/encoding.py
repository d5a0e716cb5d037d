"""Tasks of encoders: classification by a head, and embeddings. Rows of all requests are batched together.

Embeddings refuse a text that is longer than the model reads. A classifier reads such a text as several rows and pools
their probabilities. A head turns a pooled vector into probabilities, in numpy. Its arrays are a file beside the model,
and are never pickled.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.cards import HeadSpec, Pooling
from models.probabilities import ACTIVATIONS, sigmoid, softmax
from models.registry import ModelCard
from server.engines.rows import EncoderRow
from server.errors import InvalidValue, TooLarge
from server.tasks.fitting import Cut, Row, Truncation, row_of
from server.tasks.model import Model
from server.tasks.offload import ITEM_CHARACTERS, SMALL_PRODUCTS, offload, size_of
from server.tasks.results import Done, Scores, Usage
from server.tasks.text import language
from server.tasks.text.sentences import chunk

Floats = npt.NDArray[np.float32]


class Head:
    """A linear layer on the pooled vector, with a dense layer before it if the file has one."""

    def __init__(self, spec: HeadSpec, folder: Path) -> None:
        """Load the head's arrays.

        Raises:
            ValueError: the file is no archive of arrays, or an array is missing, not finite or of the wrong shape.
        """
        self.spec = spec
        try:
            with (folder / spec.file).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                self._weight = np.asarray(file["weight"], np.float32)
                self._bias = np.asarray(file["bias"], np.float32)
                dense = "dense_weight" in file
                self._dense = np.asarray(file["dense_weight"], np.float32) if dense else None
                self._dense_bias = np.asarray(file["dense_bias"], np.float32) if dense else None
        except (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{spec.file}, the head '{spec.name}', cannot be read: {error!r}") from error
        if self._weight.shape[0] != len(spec.labels) or self._bias.shape != (len(spec.labels),):
            raise ValueError(f"the head '{spec.name}' has weights of shape {self._weight.shape} for {spec.labels}")
        if self._dense is not None and self._dense.shape[0] != self._weight.shape[1]:
            raise ValueError(
                f"the head '{spec.name}' has a dense layer of shape {self._dense.shape} before {self._weight.shape}"
            )
        arrays = [each for each in (self._weight, self._bias, self._dense, self._dense_bias) if each is not None]
        if not all(np.isfinite(each).all() for each in arrays):
            raise ValueError(f"the head '{spec.name}' has weights that are not numbers")

    @property
    def products(self) -> int:
        """The number of multiplications that one vector costs."""
        return self._weight.size + (0 if self._dense is None else self._dense.size)

    def probabilities(self, vectors: Floats) -> Floats:
        """Probabilities of the labels.

        Args:
            vectors: pooled hidden states, shape (n, d).

        Returns:
            shape (n, labels): softmax rows sum to one, sigmoid labels are independent.
        """
        logits = self.logits(vectors)
        return sigmoid(logits) if self.spec.kind == "sigmoid" else softmax(logits)

    def logits(self, vectors: Floats) -> Floats:
        """The labels' logits, of shape (n, labels), for vectors of shape (n, d)."""
        hidden = vectors
        if self._dense is not None and self._dense_bias is not None:
            hidden = ACTIVATIONS[self.spec.activation](_product(hidden, self._dense) + self._dense_bias)
        return (_product(hidden, self._weight) + self._bias) / np.float32(self.spec.temperature)

    async def apply(self, reading: "Callable[[Floats], Floats]", vectors: Sequence[Floats]) -> Floats:
        """``probabilities`` or ``logits`` of n vectors of shape (d,), of shape (n, labels), off the event loop."""
        stacked = np.stack(list(vectors))
        return await offload(lambda: reading(stacked), len(stacked) * self.products, SMALL_PRODUCTS)

    def pool(self, probabilities: Floats, tokens: Sequence[int]) -> Floats:
        """Combine the probabilities of a text's chunks (docs/classification.md compares the rules).

        Args:
            probabilities: shape (chunks, labels).
            tokens: the number of tokens of each chunk.

        Returns:
            shape (labels,). For labels that exclude each other (softmax) the mean, weighted by tokens. For independent
            labels (sigmoid) the largest of each, because a label of any part is a label of the text.
        """
        if self.spec.kind == "sigmoid":
            return np.asarray(probabilities.max(axis=0), np.float32)
        return np.asarray(np.average(probabilities, axis=0, weights=tokens), np.float32)


def _product(vectors: Floats, weight: Floats) -> Floats:
    """``vectors @ weight.T`` on one thread.

    BLAS would divide even this small product among threads, which then spin on the engines' cores and take ten times
    the processor time. It would also round a row differently depending on the other rows.
    """
    product: Floats = np.einsum("nd,hd->nh", vectors, weight)
    return product


CHUNK_TOKENS = 48
"""The most tokens of a chunk, about two sentences. Classifiers are trained on sentences and classify these best. They
hardly ever call a chunk as long as the model's context neutral, even if all its sentences are neutral
(docs/classification.md)."""

CHUNK_LANGUAGE = "en"
"""The language whose rules find the ends of sentences in a long text of unknown language."""


class Classification:
    """Scores for texts from one head of a classifier.

    Args:
        others: classifiers with the same labels, for texts in languages that they read and this one does not.
    """

    def __init__(self, model: Model, head: Head, others: "Sequence[Classification]" = ()) -> None:
        self._model = model
        self._head = head
        self._readers = {code: task for task in (*others, self) for code in task.head.spec.languages}
        if self._readers:
            language.prepare()
        # The tokenizer adds tokens to every row, which a chunk must leave room for.
        self._chunk_tokens = min(CHUNK_TOKENS, model.card.context_length_tokens) - len(model.tokenizer.encode_row(""))

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def head(self) -> Head:
        """The head that computes the scores."""
        return self._head

    def beside(self, others: "Sequence[Classification]") -> "Classification":
        """This task, with other classifiers for texts in languages that it does not read."""
        return Classification(self._model, self._head, others)

    async def classify(self, texts: Sequence[str], truncation: Truncation | None = None) -> Done[Scores]:
        """Classify texts independently.

        Args:
            texts: n texts, each non-empty. A text with more tokens than the model's context is read in chunks, and
                ``Head.pool`` combines the chunks' probabilities.
            truncation: cut each text to this length, so that none is read in chunks.

        Returns:
            Scores in the order of ``texts``, labels as in the manifest.

        Raises:
            InvalidValue: a text is empty. All texts are checked before any is queued, so a refused request costs the
                engine nothing.
            Unavailable: the model has failed or is no longer served.
            Overloaded: the queue is full.
            TooLarge: the texts have more rows than the queue holds.
        """
        mine = self._head.spec.languages
        languages = await language.recognise_all(texts, self._readers, mine) if mine else [None] * len(texts)
        groups: dict[Classification, list[int]] = {}
        for index, code in enumerate(languages):
            groups.setdefault(self._readers.get(code or "", self), []).append(index)

        def prepare() -> dict[int, list[Row]]:
            cuts = {task: None if truncation is None else Cut(task._model, truncation) for task in groups}
            return {
                index: task._rows(texts[index], index, cuts[task], languages[index])
                for task, places in groups.items()
                for index in places
            }

        chunks = await offload(prepare, size_of(texts))
        found: dict[int, Scores] = {}
        parts = []
        for task, places in groups.items():
            parts.append(await task._scores([chunks[index] for index in places]))
            found |= zip(places, parts[-1].items, strict=True)
        served = (None, *self._readers)
        items = [
            replace(found[index], language=code, flags=() if code in served else ("unsupported_language",))
            for index, code in enumerate(languages)
        ]
        timing = replace(parts[0].timing, ended_s=parts[-1].timing.ended_s)
        return Done(items, Usage(sum(part.usage.prompt_tokens for part in parts)), timing)

    async def classify_pairs(
        self, pairs: Sequence[Sequence[str]], truncation: Truncation | None = None
    ) -> Done[Scores]:
        """Classify pairs of texts, as models for inference (NLI) and paraphrases read them.

        Args:
            pairs: n pairs of texts that are not empty.
            truncation: cut each pair to this length.

        Raises:
            InputTooLong: a pair has more tokens than the model's context.
            InvalidValue, Unavailable, Overloaded, TooLarge: as ``classify``.
        """

        def prepare() -> list[EncoderRow]:
            cut = None if truncation is None else Cut(self._model, truncation)
            rows = [self._pair(pair, index, cut) for index, pair in enumerate(pairs)]
            self._model.require_fits([row.ids for row in rows])
            return rows

        done = await encode(self._model, prepare, size_of(text for pair in pairs for text in pair))
        probabilities = await self._head.apply(self._head.probabilities, done.items)
        items = [
            Scores(dict(zip(self._head.spec.labels, map(float, each), strict=True)), 1, self.card.id)
            for each in probabilities
        ]
        return Done(items, done.usage, done.timing)

    def _pair(self, pair: Sequence[str], index: int, cut: Cut | None) -> EncoderRow:
        if self.card.origin is None:  # models of our own were trained on single texts
            raise InvalidValue(
                f"Input {index} is a pair of texts, and '{self.card.id}' scores single texts: send a batch of them as "
                '[["a"], ["b"]].',
                "input",
            )
        first, second = pair
        if not (first.strip() and second.strip()):
            raise InvalidValue(f"Input {index} has an empty text.", "input")
        try:
            [made] = self._model.tokenizer.encode_pairs(first, [second])
        except ValueError as error:
            raise InvalidValue(f"Input {index}: {error}.", "input") from None
        made = made if cut is None else cut.pair(made)
        return EncoderRow(made.ids, self._head.spec.pooling, made.types)

    async def _scores(self, chunks: Sequence[Sequence[Row]]) -> Done[Scores]:
        """The scores of texts that are given as the rows of their chunks."""
        pooling = self._head.spec.pooling
        done = await encode(self._model, lambda: [EncoderRow(row, pooling) for rows in chunks for row in rows], 0)
        probabilities = await self._head.apply(self._head.probabilities, done.items)
        ends = list(accumulate(map(len, chunks)))
        items = [
            self._score(probabilities[end - len(rows) : end], rows) for rows, end in zip(chunks, ends, strict=True)
        ]
        return Done(items, done.usage, done.timing)

    def _rows(self, text: str, index: int, cut: "Cut | None", code: str | None) -> list[Row]:
        """The text's row, or the rows of its chunks if the text is longer than the model's context."""
        row, limit = row_of(self._model, text, index, cut), self._model.card.context_length_tokens
        if len(row) <= limit:
            return [row]
        self._model.batcher.require_room(len(row) // CHUNK_TOKENS)  # the text has at least this many chunks
        tokenizer = self._model.tokenizer
        rules = code if code in self._head.spec.languages else CHUNK_LANGUAGE
        parts = chunk(text, rules, lambda part: len(tokenizer.encode(part)), self._chunk_tokens)
        return [tokenizer.encode_row(part) for part in parts]

    def _score(self, probabilities: Floats, rows: Sequence[Row]) -> Scores:
        pooled = self._head.pool(probabilities, [len(row) for row in rows])
        return Scores(dict(zip(self._head.spec.labels, map(float, pooled), strict=True)), len(rows), self.card.id)


MOST_NUMBERS = 4_000_000
"""The most numbers of an answer with a vector for each token: 10,000 tokens of 384 numbers, 80 MB of JSON."""


class Embedding:
    """Vectors of texts by one embedding model."""

    def __init__(self, model: Model, pooling: Pooling, normalize: bool) -> None:
        self.model = model
        self._pooling = pooling
        self._normalize = normalize

    @property
    def pooling(self) -> Pooling:
        """How hidden states become a vector."""
        return self._pooling

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.model.card

    async def embed(
        self,
        inputs: Sequence[str | Sequence[int]],
        truncation: Truncation | None = None,
        normalize: bool | None = None,
    ) -> Done[Floats]:
        """Embed texts or token ids independently.

        Args:
            inputs: n texts, or the token ids of n rows.
            truncation: the part of each input that is read.
            normalize: whether vectors have length 1; None: as the model's makers wanted them.

        Returns:
            n vectors of shape (d,), in the order of ``inputs``.

        Raises:
            InputTooLong: an input has more tokens than the model's context.
            InvalidValue: an input is empty or has ids outside the vocabulary.
            Unavailable, Overloaded, TooLarge: as ``Classification.classify``.
        """

        done = await self._encode(inputs, truncation, self._pooling)
        if not (self._normalize if normalize is None else normalize):
            return done
        return Done([unit(v) for v in done.items], done.usage, done.timing)

    async def embed_tokens(
        self, inputs: Sequence[str | Sequence[int]], truncation: Truncation | None = None
    ) -> Done[Floats]:
        """The hidden states of each input's tokens, with those that the model adds: n arrays of shape (tokens, d).

        The arguments and errors are those of ``embed``.

        Raises:
            TooLarge: the answer would have too many numbers.
        """
        return await self._encode(inputs, truncation, "none")

    async def _encode(
        self,
        inputs: Sequence[str | Sequence[int]],
        truncation: Truncation | None,
        pooling: Pooling | Literal["none"],
    ) -> Done[Floats]:
        def prepare() -> list[EncoderRow]:
            cut = None if truncation is None else Cut(self.model, truncation)
            rows = [row_of(self.model, item, index, cut) for index, item in enumerate(inputs)]
            self.model.require_fits(rows)
            if pooling == "none" and self.card.embedding is not None:
                numbers = self.card.embedding.dimensions * sum(map(len, rows))
                if numbers > MOST_NUMBERS:
                    raise TooLarge("The answer", numbers, MOST_NUMBERS, "numbers", "input")
            return [EncoderRow(row, pooling) for row in rows]

        return await encode(self.model, prepare, sum(len(each) + ITEM_CHARACTERS for each in inputs))


def unit(vector: Floats) -> Floats:
    """The vector scaled to length 1; the null vector stays unchanged."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


async def encode(model: Model, prepare: Callable[[], Sequence[EncoderRow]], characters: int) -> Done[Floats]:
    """Pooled vectors of shape (d,) of the rows that ``prepare`` makes. ``characters`` is its size for ``offload``."""
    model.require_ready()
    rows = await offload(prepare, characters)
    job = model.batcher.submit(rows)
    try:
        results = await job.results()
    finally:
        job.cancel()
    usage = Usage(sum(len(row.ids) for row in rows))
    return Done([result.vector for result in results], usage, job.timing)
