"""Translation: which direction a text goes, its sentences as rows, and hypotheses back to text.

Sentences of all requests are batched together. Pairs that no single pass serves go through a pivot
language. Knows no HTTP; every refusal comes from ``begin``, before anything is queued.
"""

import asyncio
import time
from collections.abc import Sequence
from types import ModuleType

from models.cards import TranslationSpec
from models.registry import ModelCard
from server.engines.rows import Hypothesis, TranslationRow
from server.errors import InputTooLong, InvalidValue
from server.tasks.model import Model
from server.tasks.results import Done, Translation
from server.tasks.text.language import detect
from server.tasks.text.repetition import cut_loops
from server.tasks.text.sentences import Skeleton, split
from server.tasks.translation_run import Text, TranslationRun

LENGTH_STEPS = (32, 64, 128, 256, 512, 1024)
"""The limits on a target's length. A call has one limit for all its rows: a few steps let rows share calls,
and a row's own limit never depends on its batch mates."""

UNKNOWN = "und"
"""ISO 639-2 for a language that cannot be told: there is nothing to translate."""

SMALL_CHARACTERS = 10_000
"""Texts beyond this are split and tokenised off the event loop, so that nobody's tokens wait for it."""


class TranslationTask:
    """Translation on one encoder-decoder model."""

    def __init__(self, model: Model, section: TranslationSpec, family: ModuleType) -> None:
        self._model = model
        self._section = section
        self._family = family
        self._pairs = frozenset(section.pairs)

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it reads and writes."""
        return self._section.languages

    def translates(self, source: str, target: str) -> bool:
        """Whether it serves this direction, directly or through a pivot."""
        return self._find_route(source, target) is not None

    async def translate(
        self, texts: Sequence[str], source: str | None, target: str, *, alternatives: int = 0
    ) -> Done[Translation]:
        """Translate texts independently; see ``begin``."""
        run = await self.begin(texts, source, target, alternatives=alternatives)
        async for _ in run:
            pass
        return run.done()

    async def begin(
        self, texts: Sequence[str], source: str | None, target: str, *, alternatives: int = 0
    ) -> TranslationRun:
        """Queue texts to be translated independently; iterate the run for sentences as they are ready.

        Args:
            texts: n texts; those with nothing to translate come back unchanged.
            source: their language, or None to detect it for each.
            target: the language to translate to.
            alternatives: how many more hypotheses to return for each.

        Raises:
            InvalidValue: a language or direction that the model does not know.
            Unavailable, Overloaded, TooLarge: not now, or not so much at once.
        """
        began_s = time.perf_counter()
        self._model.require_ready()
        self._require_language(target, "target")
        if source is not None:
            self._require_language(source, "source")
        if sum(map(len, texts)) > SMALL_CHARACTERS:
            prepared = await asyncio.to_thread(self._prepare_all, texts, source, target)
        else:
            prepared = self._prepare_all(texts, source, target)
        run = TranslationRun(prepared, target, alternatives, self._model.batcher, self.row, self.text)
        run.tokenization_s = time.perf_counter() - began_s
        run.submit()
        return run

    def row(self, sentence: str, target: str, hypotheses: int) -> TranslationRow:
        """The row of one sentence.

        Raises:
            InputTooLong: it has more tokens than the model reads, and no place to split it.
        """
        tokenizer = self._model.tokenizer
        source = self._family.source_row(self._section, tokenizer.tokens(self._encode(sentence)), target)
        limit = self._model.card.context_length_tokens
        if len(source) > limit:
            raise InputTooLong(len(source), limit)
        most = self._family.max_target_tokens(self._section, len(source))
        return TranslationRow(
            source,
            max_tokens=next((step for step in LENGTH_STEPS if step >= most), LENGTH_STEPS[-1]),
            beam_size=max(self._section.beam_size, hypotheses),
            hypotheses=hypotheses,
        )

    def text(self, hypothesis: Hypothesis, row: TranslationRow) -> str:
        """The text of a hypothesis, with runaway repetition cut."""
        tokenizer = self._model.tokenizer
        tokens = cut_loops(hypothesis.tokens, row.source)
        return tokenizer.decode([tokenizer.id(token) for token in tokens]).strip()

    def _prepare_all(self, texts: Sequence[str], source: str | None, target: str) -> list[Text]:
        return [self._prepare(text, source, target) for text in texts]

    def _prepare(self, text: str, source: str | None, target: str) -> Text:
        detected = None
        if source is None:
            detected = detect(text, self._section.languages)
            source = detected[0] if detected else UNKNOWN
        route = self._route(source, target)
        if not route:
            return Text(source, detected, Skeleton((), (text,)), ())
        limit = self._model.card.context_length_tokens - 2
        return Text(source, detected, split(text, source, self._count_tokens, limit), route)

    def _count_tokens(self, text: str) -> int:
        return len(self._encode(text))

    def _encode(self, text: str) -> list[int]:
        try:
            return self._model.tokenizer.encode(text)
        except ValueError as error:
            raise InvalidValue(str(error), "input") from None

    def _route(self, source: str, target: str) -> tuple[str, ...]:
        """The languages to go through, the target last; empty when there is nothing to do."""
        if source in (target, UNKNOWN):
            return ()
        route = self._find_route(source, target)
        if route is None:
            raise InvalidValue(f"The model '{self.card.id}' does not translate from {source} to {target}.", "target")
        return route

    def _find_route(self, source: str, target: str) -> tuple[str, ...] | None:
        if (source, target) in self._pairs:
            return (target,)
        pivots = (each for each in self.languages if {(source, each), (each, target)} <= self._pairs)
        pivot = next(pivots, None)
        return None if pivot is None else (pivot, target)

    def _require_language(self, code: str, field: str) -> None:
        if code not in self._section.languages:
            known = ", ".join(self._section.languages)
            raise InvalidValue(f"'{code}' is not a language of '{self.card.id}'; it knows {known}.", field)
