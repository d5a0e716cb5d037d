"""One translation request: its options, and its sentences, which pass the queue leg by leg and come out in order."""

import itertools
import math
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from server.batching.batcher import Batcher
from server.batching.job import Job, Outcome, Timing
from server.engines.rows import Translated, TranslationRow
from server.errors import Overloaded, ServerError, TooLarge
from server.tasks.offload import ITEM_CHARACTERS, offload, size_of
from server.tasks.results import Done, Flag, Translation, Usage
from server.tasks.text.language import effort
from server.tasks.translation.document import Document
from server.tasks.translation.glossary import Term
from server.tasks.translation.marks import Marked
from server.tasks.translation.markup import Rules
from server.tasks.translation.rows import Rows


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """The options of one request. The defaults are those of the model's manifest, for plain text."""

    alternatives: int = 0
    """How many more hypotheses to return for each text."""
    beam_size: int | None = None
    """None: what the manifest says; never fewer than the hypotheses."""
    rules: Rules | None = None
    """Which elements of HTML or XML are what; None for plain text."""
    glossary: Sequence[Term] = ()


@dataclass(frozen=True, slots=True)
class Leg:
    """A step of a route: from one language to another, by one model."""

    source: str
    target: str
    rows: Rows
    """Of the model: its rows and its line."""
    batcher: Batcher[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """One input, taken apart."""

    source: str
    detected: tuple[str, float] | None
    document: Document
    route: tuple[Leg, ...]
    """What it goes through, the target last; empty: it comes back as it is."""


@dataclass(frozen=True, slots=True)
class Part:
    """The next stretch of one input's translation: a sentence and what stands around it."""

    index: int
    text: str


@dataclass(slots=True)
class _Sentence:
    """A sentence on its way: its hypotheses so far, and what was wrong with the first of them on any leg."""

    text: int
    hypotheses: list[Marked]
    flags: tuple[Flag, ...] = ()
    ready: bool = False


@dataclass(slots=True)
class _Work:
    """A row in the line, and what came of it when it was tried before."""

    sentence: _Sentence
    row: TranslationRow
    leg: Leg
    hypotheses: list[Marked] | None = None
    flags: tuple[Flag, ...] = ()
    logprob: float = 0.0
    tokens: int = 0

    @property
    def is_retry(self) -> bool:
        return self.hypotheses is not None

    @property
    def size(self) -> int:
        """What it takes to judge what came of the row, and to place what was marked in it, for ``offload``."""
        source = self.sentence.hypotheses[0]
        return (effort([source.text]) + ITEM_CHARACTERS * len(source.nodes)) * self.row.hypotheses


@dataclass(frozen=True, slots=True)
class _Queued:
    """Rows in the line of one model, in the order of the job's."""

    job: Job[TranslationRow, None, Translated]
    work: Sequence[_Work]


class TranslationProgress:
    """Iterate it for parts, then ask for what is ``done``. Making one makes its first rows: that may take long.

    Parts of one input come in order, and joined they are its translation; parts of several inputs mix. A sentence
    whose translation is flagged is tried once more before it is a part.
    """

    def __init__(
        self,
        texts: Sequence[Text],
        target: str,
        options: TranslationOptions,
    ) -> None:
        self._texts = texts
        self._target = target
        self._options = options
        self._sentences = [
            [_Sentence(i, [sentence]) for sentence in text.document.sentences] for i, text in enumerate(texts)
        ]
        self._legs = max((len(text.route) for text in texts), default=0)
        self._leg = 0
        self._work: list[_Work] = []
        self._retries: list[_Work] = []
        self._queued: list[_Queued] = []
        self._sent = [-1] * len(texts)
        self._logprobs = [[(0.0, 0)] * len(text.route) for text in texts]
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._timings: list[Timing] = []
        self._began_s = time.perf_counter()
        self._make_rows()

    def submit(self) -> None:
        """Queue the rows that were made.

        Raises:
            Overloaded, TooLarge, Unavailable: see ``TranslationTask.begin``.
        """
        work, self._work = self._work, []
        self._queue(work)

    def _queue(self, work: Sequence[_Work]) -> None:
        """Queue rows, those of one model together; all of them or none."""
        together: dict[int, list[_Work]] = {}
        for each in work:
            together.setdefault(id(each.leg.batcher), []).append(each)
        try:
            for group in together.values():
                job = group[0].leg.batcher.submit([each.row for each in group])
                self._queued.append(_Queued(job, group))
        except ServerError:
            self.cancel()
            self._queued = []
            raise

    def _make_rows(self) -> None:
        """Make the next leg's rows: sentences whose route is that long.

        Raises:
            InputTooLong: see ``TranslationTask.begin``.
        """
        self._work = []
        for text, sentences in zip(self._texts, self._sentences, strict=True):
            if self._leg < len(text.route):
                last = self._leg == len(text.route) - 1
                wanted = 1 + self._options.alternatives if last else 1
                leg = text.route[self._leg]
                beams = self._options.beam_size
                for sentence in sentences:
                    row = leg.rows.row(sentence.hypotheses[0], leg.source, leg.target, wanted, beams)
                    self._work.append(_Work(sentence, row, leg))

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
                sentences = [each.hypotheses[0].text for each in itertools.chain(*self._sentences)]
                await offload(self._make_rows, size_of(sentences))
                self.submit()

    def cancel(self) -> None:
        """Nobody wants the rest."""
        for queued in self._queued:
            queued.job.cancel()

    def done(self) -> Done[Translation]:
        """All of it, once the iteration is over."""
        items = [self._assemble(i, text) for i, text in enumerate(self._texts)]
        return Done(items, self.usage, self.timing)

    @property
    def usage(self) -> Usage:
        """Tokens read and made so far."""
        return Usage(self._prompt_tokens, self._completion_tokens)

    @property
    def timing(self) -> Timing:
        """When things happened, over all legs."""
        timings = [*self._timings, *(queued.job.timing for queued in self._queued)]
        if not timings:
            return Timing(self._began_s, self._began_s, None, time.perf_counter(), 0)
        first, last = timings[0], timings[-1]
        rows = max(timing.batch_rows for timing in timings)
        return Timing(first.queued_s, first.taken_s, first.first_s, last.ended_s, rows)

    async def _finish_leg(self) -> AsyncIterator[Part]:
        async for part in self._finish_queued():
            yield part
        if self._retries:
            self._queue_retries()
            async for part in self._finish_queued():
                yield part

    def _queue_retries(self) -> None:
        """Queue what was flagged once more; when there is no room, what there is stands."""
        retries, self._retries = self._retries, []
        try:
            self._queue(retries)
        except (Overloaded, TooLarge):
            for work in retries:
                self._settle(work)

    async def _finish_queued(self) -> AsyncIterator[Part]:
        if not self._queued:
            for part in self._ready_parts():
                yield part
        try:
            for queued in self._queued:
                async for event in queued.job.events():
                    if not isinstance(event, Outcome):
                        continue
                    if isinstance(event.result, ServerError):
                        raise event.result
                    work = queued.work[event.index]
                    await offload(partial(self._take, work, event.result), work.size)
                    for part in self._ready_parts(work.sentence.text):
                        yield part
        finally:
            self.cancel()
        self._timings += [queued.job.timing for queued in self._queued]
        self._queued = []

    def _take(self, work: _Work, result: Translated) -> None:
        if not work.is_retry:
            self._prompt_tokens += len(work.row.source)
        self._completion_tokens += sum(len(hypothesis.tokens) for hypothesis in result.hypotheses)
        source = work.sentence.hypotheses[0]
        leg = work.leg
        made = [leg.rows.candidate(source, work.row, each, leg.target) for each in result.hypotheses]
        was_retry = work.is_retry
        if not was_retry or len(made[0].flags) < len(work.flags):
            best = result.hypotheses[0]
            work.hypotheses = [candidate.sentence for candidate in made]
            work.flags, work.logprob, work.tokens = made[0].flags, best.mean_logprob, len(best.tokens)
        if work.flags and not was_retry:
            work.row = leg.rows.again(work.row)
            self._retries.append(work)
        else:
            self._settle(work)

    def _settle(self, work: _Work) -> None:
        """Nothing better will come of this leg."""
        sentence = work.sentence
        of_legs = self._logprobs[sentence.text]
        total, count = of_legs[self._leg]
        of_legs[self._leg] = total + work.logprob * work.tokens, count + work.tokens
        sentence.hypotheses = work.hypotheses or sentence.hypotheses
        sentence.flags += work.flags
        sentence.ready = self._leg == len(self._texts[sentence.text].route) - 1

    def _ready_parts(self, only: int | None = None) -> list[Part]:
        """What can be sent now of each input: the gap before a ready sentence goes with it."""
        parts = []
        for i in range(len(self._texts)) if only is None else (only,):
            document, sentences = self._texts[i].document, self._sentences[i]
            text = ""
            if self._sent[i] < 0:
                self._sent[i] = 0
                text = document.gaps[0]
            while self._sent[i] < len(sentences) and sentences[self._sent[i]].ready:
                sentence = document.write(sentences[self._sent[i]].hypotheses[0])
                text += sentence + document.gaps[self._sent[i] + 1]
                self._sent[i] += 1
            if text:
                parts.append(Part(i, text))
        return parts

    def _assemble(self, index: int, text: Text) -> Translation:
        sentences = self._sentences[index]
        legs = self._logprobs[index]

        def variant(n: int) -> str:
            return text.document.join([s.hypotheses[min(n, len(s.hypotheses) - 1)] for s in sentences])

        return Translation(
            text=variant(0),
            source=text.source,
            target=self._target,
            detected=text.detected,
            confidence=math.exp(sum(total / count for total, count in legs if count)),
            alternatives=[variant(n) for n in range(1, 1 + self._options.alternatives)] if sentences else [],
            pivot=text.route[0].target if len(text.route) > 1 else None,
            flags=sorted({flag for sentence in sentences for flag in sentence.flags}),
        )
