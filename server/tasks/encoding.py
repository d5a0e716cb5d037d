"""Tasks of encoders: classification by a head, and embeddings. Rows of all requests are batched together.

Embeddings refuse a text that is longer than the model reads. A classifier reads such a text as several rows and pools
their probabilities. A head turns a pooled vector into probabilities, in numpy. Its arrays are a file beside the model,
and are never pickled.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.cards import HeadSpec, Pooling
from models.probabilities import ACTIVATIONS, sigmoid, softmax
from models.registry import ModelCard
from server.engines.rows import EncoderRow
from server.errors import InvalidValue
from server.tasks.model import Model
from server.tasks.offload import ITEM_CHARACTERS, SMALL_PRODUCTS, offload, size_of
from server.tasks.results import Done, Scores, Usage
from server.tasks.text import language
from server.tasks.text.note import Note, read_note
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
        hidden = vectors
        if self._dense is not None and self._dense_bias is not None:
            hidden = ACTIVATIONS[self.spec.activation](_product(hidden, self._dense) + self._dense_bias)
        logits = (_product(hidden, self._weight) + self._bias) / np.float32(self.spec.temperature)
        if self.spec.kind == "sigmoid":
            return sigmoid(logits)
        return softmax(logits)

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

Row = list[int]


@dataclass(frozen=True, slots=True)
class Truncation:
    """The part of a long input that is read."""

    tokens: int | None = None
    """The most tokens, including those that the model adds; None means as many as the model reads."""
    keeps_end: bool = False
    """Whether the beginning is cut off, not the end."""
    field: str = "truncate_prompt_tokens"
    """The name of the field in the request."""


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
            cuts = {task: None if truncation is None else _Cut(task._model, truncation) for task in groups}
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

    async def _scores(self, chunks: Sequence[Sequence[Row]]) -> Done[Scores]:
        """The scores of texts that are given as the rows of their chunks."""
        done = await _encode(self._model, lambda: [row for rows in chunks for row in rows], 0, self._head.spec.pooling)
        vectors = np.stack(list(done.items))
        products = len(vectors) * self._head.products
        probabilities = await offload(lambda: self._head.probabilities(vectors), products, SMALL_PRODUCTS)
        ends = list(accumulate(map(len, chunks)))
        items = [
            self._score(probabilities[end - len(rows) : end], rows) for rows, end in zip(chunks, ends, strict=True)
        ]
        return Done(items, done.usage, done.timing)

    def _rows(self, text: str, index: int, cut: "_Cut | None", code: str | None) -> list[Row]:
        """The text's row, or the rows of its chunks if the text is longer than the model's context."""
        row, limit = _row(self._model, text, index, cut), self._model.card.context_length_tokens
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


class Embedding:
    """Vectors of texts by one embedding model."""

    def __init__(self, model: Model, pooling: Pooling, normalize: bool) -> None:
        self._model = model
        self._pooling = pooling
        self._normalize = normalize

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    async def embed(self, inputs: Sequence[str | Sequence[int]], truncation: Truncation | None = None) -> Done[Floats]:
        """Embed texts or token ids independently.

        Args:
            inputs: n texts, or the token ids of n rows.
            truncation: the part of each input that is read.

        Returns:
            n vectors of shape (d,), in the order of ``inputs``.

        Raises:
            InputTooLong: an input has more tokens than the model's context.
            InvalidValue: an input is empty or has ids outside the vocabulary.
            Unavailable, Overloaded, TooLarge: as ``Classification.classify``.
        """

        def prepare() -> list[Row]:
            cut = None if truncation is None else _Cut(self._model, truncation)
            rows = [_row(self._model, item, index, cut) for index, item in enumerate(inputs)]
            self._model.require_fits(rows)
            return rows

        done = await _encode(self._model, prepare, sum(len(each) + ITEM_CHARACTERS for each in inputs), self._pooling)
        if not self._normalize:
            return done
        return Done([unit(v) for v in done.items], done.usage, done.timing)

    def read_note(self, text: str, language: str, *, sections: bool, others: int = 0) -> Note:
        """A text's sections and sentences, none of which is longer than the model reads.

        Args:
            text: any text.
            language: ISO 639-1 code of the text's language.
            sections: whether headings part the text.
            others: sentences of other texts of the request.

        Raises:
            TooLarge: these are more sentences than the queue holds.
        """
        model = self._model
        return read_note(
            text,
            language,
            by_heading=sections,
            count_tokens=lambda part: len(model.tokenizer.encode(part)),
            limit_tokens=model.card.context_length_tokens - len(model.tokenizer.encode_row("")),
            require_room=lambda sentences: model.batcher.require_room(others + sentences),
        )


def unit(vector: Floats) -> Floats:
    """The vector scaled to length 1; the null vector stays unchanged."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


async def _encode(model: Model, prepare: Callable[[], list[Row]], characters: int, pooling: Pooling) -> Done[Floats]:
    """Pooled vectors of shape (d,) of the rows that ``prepare`` makes. ``characters`` is its size for ``offload``."""
    model.require_ready()
    rows = await offload(prepare, characters)
    job = model.batcher.submit([EncoderRow(row, pooling) for row in rows])
    try:
        results = await job.results()
    finally:
        job.cancel()
    usage = Usage(sum(len(row) for row in rows))
    return Done([result.vector for result in results], usage, job.timing)


class _Cut:
    """Truncates the rows of one model.

    Raises:
        InvalidValue: the length is over the model's context, or leaves no token of a text.
    """

    def __init__(self, model: Model, truncation: Truncation) -> None:
        self._tokenizer = model.tokenizer
        self._keeps_end = truncation.keeps_end
        context = model.card.context_length_tokens
        self._limit = context if truncation.tokens is None else truncation.tokens
        least = len(model.tokenizer.encode_row("")) + 1
        if not least <= self._limit <= context:
            raise InvalidValue(
                f"'{truncation.field}' is {self._limit}; for '{model.id}' it must be {least} to {context}, or -1.",
                truncation.field,
            )

    def text(self, row: Row, text: str) -> Row:
        """The row of a text, with the text's tokens truncated and the tokens around them kept."""
        if len(row) <= self._limit:
            return row
        plain = self._tokenizer.encode(text)
        around = len(row) - len(plain)
        begin = next((i for i in range(around + 1) if row[i : i + len(plain)] == plain), 0)
        kept = self._kept(plain, self._limit - around)
        return [*row[:begin], *kept, *row[begin + len(plain) :]]

    def ids(self, row: Row) -> Row:
        """A row that the client gave as ids, truncated."""
        return self._kept(row, self._limit)

    def _kept(self, ids: Row, most: int) -> Row:
        return ids[max(0, len(ids) - most) :] if self._keeps_end else ids[:most]


def _row(model: Model, item: str | Sequence[int], index: int, cut: _Cut | None = None) -> Row:
    if not isinstance(item, str):
        if not item:
            raise InvalidValue(f"Input {index} is empty.", "input")
        model.require_ids([item], "input")
        return list(item) if cut is None else cut.ids(list(item))
    if not item.strip():
        raise InvalidValue(f"Input {index} is empty.", "input")
    try:
        row = model.tokenizer.encode_row(item)
    except ValueError as error:
        raise InvalidValue(f"Input {index}: {error}", "input") from None
    return row if cut is None else cut.text(row, item)
