"""Finds entities in texts: names, places, personal data, whatever a token classifier was trained to tag.

A text that is longer than the model reads is read in windows. Each token has its tag from the window that sees most of
the text around it, so entities may cross the borders of windows, and places are those in the whole text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.cards import EntitiesSpec
from models.probabilities import softmax
from models.registry import ModelCard
from models.tokenizers import Span
from server.engines.rows import EncoderRow
from server.errors import InvalidValue
from server.tasks.encoding import Floats, encode
from server.tasks.fitting import inner, windows
from server.tasks.model import Model
from server.tasks.offload import offload, size_of
from server.tasks.results import Done
from server.tasks.tags import Aggregation, Entity, entities, labels_of

SAMPLE = "a"
"""A text, to learn what the tokenizer puts around one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The entities that are looked for, and how they are put together."""

    aggregation: Aggregation = "first"
    labels: frozenset[str] | None = None
    """Only entities with these labels; None: all."""
    least_score: float = 0.0
    """Only entities with at least this score."""
    overlap_tokens: int | None = None
    """The tokens that neighbouring windows share; None: a quarter of a window."""


@dataclass(frozen=True, slots=True)
class Found:
    """The entities of one text, in order."""

    entities: Sequence[Entity]
    windows: int


@dataclass(frozen=True, slots=True)
class _Text:
    """A text's tokens, and the windows that they are read in."""

    text: str
    spans: Sequence[Span]
    windows: Sequence[tuple[int, int]]


class Entities:
    """Entities by one token classifier."""

    def __init__(self, model: Model, spec: EntitiesSpec) -> None:
        self._model = model
        self._tags = spec.tags
        tokenizer = model.tokenizer
        row = tokenizer.encode_row(SAMPLE)
        begin, end = inner(tokenizer, row, SAMPLE)
        self._before, self._after = row[:begin], row[end:]
        self._room = model.card.context_length_tokens - len(self._before) - len(self._after)

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that entities can have."""
        return labels_of(self._tags)

    async def find(self, texts: Sequence[str], finding: Finding) -> Done[Found]:
        """Find the entities of n texts, of any length.

        Raises:
            InvalidValue: a text is empty or not Unicode, there is no such label, or windows would share too much.
            Unavailable, Overloaded, TooLarge: as ``Classification.classify``.
        """
        self._require(finding)
        read: list[_Text] = []

        def prepare() -> list[EncoderRow]:
            read.extend(self._read(text, index, finding) for index, text in enumerate(texts))
            return [
                EncoderRow([*self._before, *(span.id for span in each.spans[a:b]), *self._after], "none")
                for each in read
                for a, b in each.windows
            ]

        size = size_of(texts)
        done = await encode(self._model, prepare, size)
        items = await offload(lambda: self._found(read, done.items, finding), size)
        return Done(items, done.usage, done.timing)

    def _require(self, finding: Finding) -> None:
        for label in sorted(finding.labels or ()):
            if label not in self.labels:
                known = ", ".join(self.labels)
                raise InvalidValue(f"'{self.card.id}' finds no '{label[:100]}', but {known}.", "labels")
        if finding.overlap_tokens is not None and not 0 <= finding.overlap_tokens < self._room:
            raise InvalidValue(
                f"Windows of '{self.card.id}' have {self._room} tokens: they share fewer, and not fewer than 0.",
                "overlap_tokens",
            )

    def _read(self, text: str, index: int, finding: Finding) -> _Text:
        if not text.strip():
            raise InvalidValue(f"Input {index} is empty.", "input")
        try:
            spans = self._model.tokenizer.encode_spans(text)
        except ValueError as error:
            raise InvalidValue(f"Input {index}: {error}.", "input") from None
        overlap = self._room // 4 if finding.overlap_tokens is None else finding.overlap_tokens
        rows = windows(len(spans), self._room, overlap)
        self._model.batcher.require_room(len(rows))
        return _Text(text, spans, rows)

    def _found(self, read: Sequence[_Text], logits: Sequence[Floats], finding: Finding) -> list[Found]:
        found, at = [], 0
        for each in read:
            mine = logits[at : at + len(each.windows)]
            at += len(each.windows)
            joined = softmax(self._joined(each.windows, mine))
            all_of_them = entities(each.text, each.spans, joined, self._tags, finding.aggregation)
            kept = [
                entity
                for entity in all_of_them
                if entity.score >= finding.least_score and (finding.labels is None or entity.label in finding.labels)
            ]
            found.append(Found(kept, len(each.windows)))
        return found

    def _joined(self, rows: Sequence[tuple[int, int]], logits: Sequence[Floats]) -> Floats:
        """The logits of a text's tokens. Of what two windows share, each has the half around which it sees more.

        Args:
            rows: the windows: from, up to.
            logits: of each window, with those of the tokens around it.
        """
        parts, begin = [], 0
        for i, (a, b) in enumerate(rows):
            end = b if i + 1 == len(rows) else (rows[i + 1][0] + b + 1) // 2
            first = len(self._before) - a
            parts.append(logits[i][first + begin : first + end])
            begin = end
        return np.concatenate(parts)
