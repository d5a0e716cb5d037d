"""One translation request on its way: its sentences go through the line, leg by leg, and come out in order."""

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from server.batching.batcher import Batcher
from server.batching.job import Job, Outcome, Timing
from server.engines.rows import Hypothesis, Translated, TranslationRow
from server.errors import ServerError
from server.tasks.results import Done, Translation, Usage
from server.tasks.text.sentences import Skeleton


@dataclass(frozen=True, slots=True)
class Text:
    """One input, taken apart."""

    source: str
    detected: tuple[str, float] | None
    skeleton: Skeleton
    route: tuple[str, ...]
    """The languages it goes through, the target last; empty: it comes back as it is."""


@dataclass(frozen=True, slots=True)
class Part:
    """The next stretch of one input's translation: a sentence and what stands around it."""

    index: int
    text: str


@dataclass(slots=True)
class _Sentence:
    """A sentence on its way: its hypotheses so far, and how many legs they have gone."""

    text: int
    hypotheses: list[str]
    ready: bool = False


class TranslationRun:
    """Iterate it for parts, then ask for what is ``done``.

    Parts of one input come in order, and joined they are its translation; parts of several inputs mix.

    Args:
        row: makes the row of (sentence, target language, hypotheses).
        text: makes the text of (hypothesis, its row).
    """

    def __init__(
        self,
        texts: Sequence[Text],
        target: str,
        alternatives: int,
        batcher: Batcher[Any, Any, Any],
        row: Callable[[str, str, int], TranslationRow],
        text: Callable[[Hypothesis, TranslationRow], str],
    ) -> None:
        self.tokenization_s = 0.0
        self._texts = texts
        self._target = target
        self._alternatives = alternatives
        self._batcher = batcher
        self._row = row
        self._text = text
        self._sentences = [
            [_Sentence(i, [sentence]) for sentence in text.skeleton.sentences] for i, text in enumerate(texts)
        ]
        self._legs = max((len(text.route) for text in texts), default=0)
        self._leg = 0
        self._rows: list[tuple[_Sentence, TranslationRow]] = []
        self._job: Job[TranslationRow, None, Translated] | None = None
        self._sent = [-1] * len(texts)
        self._logprobs = [(0.0, 0)] * len(texts)
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._timings: list[Timing] = []
        self._began_s = time.perf_counter()

    def submit(self) -> None:
        """Queue the next leg's rows: sentences whose route is that long.

        Raises:
            Overloaded, TooLarge, Unavailable, InputTooLong: see ``TranslationTask.begin``.
        """
        self._rows = []
        for text, sentences in zip(self._texts, self._sentences, strict=True):
            if self._leg < len(text.route):
                last = self._leg == len(text.route) - 1
                wanted = 1 + self._alternatives if last else 1
                language = text.route[self._leg]
                self._rows += [(s, self._row(s.hypotheses[0], language, wanted)) for s in sentences]
        self._job = self._batcher.submit([row for _, row in self._rows]) if self._rows else None

    async def __aiter__(self) -> AsyncIterator[Part]:
        """Yield parts as they are ready.

        Raises:
            ServerError: a row failed; the others are cancelled.
        """
        for part in self._ready_parts():
            yield part
        while self._leg < self._legs:
            async for part in self._finish_leg():
                yield part
            self._leg += 1
            if self._leg < self._legs:
                self.submit()

    def cancel(self) -> None:
        """Nobody wants the rest."""
        if self._job is not None:
            self._job.cancel()

    def done(self) -> Done[Translation]:
        """All of it, once the iteration is over."""
        items = [self._assemble(i, text) for i, text in enumerate(self._texts)]
        usage = Usage(self._prompt_tokens, self._completion_tokens)
        return Done(items, usage, self.timing, self.tokenization_s)

    @property
    def timing(self) -> Timing:
        """When things happened, over all legs."""
        timings = [*self._timings, *([self._job.timing] if self._job is not None else [])]
        if not timings:
            return Timing(self._began_s, self._began_s, None, time.perf_counter(), 0)
        first, last = timings[0], timings[-1]
        rows = max(timing.batch_rows for timing in timings)
        return Timing(first.queued_s, first.taken_s, first.first_s, last.ended_s, rows)

    async def _finish_leg(self) -> AsyncIterator[Part]:
        job = self._job
        if job is None:
            return
        try:
            async for event in job.events():
                if not isinstance(event, Outcome):
                    continue
                if isinstance(event.result, ServerError):
                    raise event.result
                sentence, row = self._rows[event.index]
                self._take(sentence, row, event.result)
                for part in self._ready_parts(sentence.text):
                    yield part
        finally:
            job.cancel()
        self._timings.append(job.timing)
        self._job = None

    def _take(self, sentence: _Sentence, row: TranslationRow, result: Translated) -> None:
        made = sum(len(hypothesis.tokens) for hypothesis in result.hypotheses)
        best = result.hypotheses[0]
        total, count = self._logprobs[sentence.text]
        tokens = len(best.tokens)
        self._logprobs[sentence.text] = total + best.mean_logprob * tokens, count + tokens
        self._prompt_tokens += len(row.source)
        self._completion_tokens += made
        sentence.hypotheses = [self._text(hypothesis, row) for hypothesis in result.hypotheses]
        sentence.ready = self._leg == len(self._texts[sentence.text].route) - 1

    def _ready_parts(self, only: int | None = None) -> list[Part]:
        """What can be sent now of each input: the gap before a ready sentence goes with it."""
        parts = []
        for i in range(len(self._texts)) if only is None else (only,):
            gaps, sentences = self._texts[i].skeleton.gaps, self._sentences[i]
            text = ""
            if self._sent[i] < 0:
                self._sent[i] = 0
                text = gaps[0]
            while self._sent[i] < len(sentences) and sentences[self._sent[i]].ready:
                text += sentences[self._sent[i]].hypotheses[0] + gaps[self._sent[i] + 1]
                self._sent[i] += 1
            if text:
                parts.append(Part(i, text))
        return parts

    def _assemble(self, index: int, text: Text) -> Translation:
        sentences = self._sentences[index]
        total, count = self._logprobs[index]

        def variant(n: int) -> str:
            return text.skeleton.join([s.hypotheses[min(n, len(s.hypotheses) - 1)] for s in sentences])

        return Translation(
            text=variant(0),
            source=text.source,
            target=self._target,
            detected=text.detected,
            confidence=math.exp(total / count) if count else 1.0,
            alternatives=[variant(n) for n in range(1, 1 + self._alternatives)] if sentences else [],
        )
