"""One translation request: its options, and its sentences, which are queued leg by leg and returned in order."""

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
from server.tasks.text.language import effort, is_foreign
from server.tasks.translation.document import Document
from server.tasks.translation.marks import Marked
from server.tasks.translation.markup import Rules
from server.tasks.translation.placeholders import Term
from server.tasks.translation.rows import Rows


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """The options of one request. The defaults are those of the model's manifest, for plain text."""

    alternatives: int = 0
    """The number of hypotheses to return for each text in addition to the best one."""
    beam_size: int | None = None
    """None: the beam size of the model's manifest. The engine never uses fewer beams than hypotheses."""
    rules: Rules | None = None
    """The roles of HTML or XML elements; None for plain text."""
    glossary: Sequence[Term] = ()


@dataclass(frozen=True, slots=True)
class Leg:
    """A step of a route: the translation from one language to another by one model."""

    source: str
    target: str
    model: str
    """The model's id."""
    rows: Rows
    """Makes the rows of the model, which ``batcher`` queues."""
    batcher: Batcher[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """One input, cut into sentences."""

    source: str
    detected: tuple[str, float] | None
    document: Document
    route: tuple[Leg, ...]
    """The legs of the translation, in order; if empty, the text comes back unchanged."""
    flags: tuple[Flag, ...] = ()
    """Faults that were found before the translation."""


@dataclass(frozen=True, slots=True)
class Part:
    """The next stretch of one input's translation: a sentence and the gaps around it."""

    index: int
    text: str
    flags: Sequence[Flag] = ()
    """The flags of the sentence in the stretch."""


@dataclass(slots=True)
class _Tally:
    """The sums over the sentences of one text on one leg, from which its confidence is computed."""

    tokens: int = 0
    logprob: float = 0.0
    accepted: float = 0.0
    """The sum of the sentences' probabilities that a reader accepts them, weighted by their tokens."""
    is_calibrated: bool = False

    def add(self, tokens: int, logprob: float, confidence: float | None) -> None:
        """Add a sentence of so many tokens with this mean log-probability and confidence."""
        self.tokens += tokens
        self.logprob += tokens * logprob
        self.accepted += tokens * (confidence or 0.0)
        self.is_calibrated = confidence is not None

    @property
    def confidence(self) -> float:
        """The confidence in the text's translation on this leg, from 0 to 1; 1 if nothing was translated."""
        if not self.tokens:
            return 1.0
        return self.accepted / self.tokens if self.is_calibrated else math.exp(self.logprob / self.tokens)


@dataclass(slots=True)
class _Sentence:
    """A sentence in work: the hypotheses of its last leg, and the faults of the first hypothesis on all legs."""

    text: int
    hypotheses: list[Marked]
    flags: tuple[Flag, ...] = ()
    ready: bool = False


@dataclass(slots=True)
class _Work:
    """A queued row, and on a retry the result of the first try."""

    sentence: _Sentence
    source: Marked
    """The sentence that the row was made of."""
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
        """The cost of judging the row's hypotheses and placing their nodes, in characters, for ``offload``."""
        return (effort([self.source.text]) + ITEM_CHARACTERS * len(self.source.nodes)) * self.row.hypotheses


@dataclass(frozen=True, slots=True)
class _Queued:
    """The work in the queue of one model; ``work`` has the order of the job's rows."""

    job: Job[TranslationRow, None, Translated]
    work: Sequence[_Work]


class TranslationProgress:
    """A translation in progress. Iterate it for parts, then call ``done``.

    The constructor makes the rows of the first leg, which may take long. Parts of one input come in order, and their
    joined texts are its translation; parts of several inputs mix. A sentence with a flagged translation is tried once
    more before it becomes a part.
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
        self._tallies = [[_Tally() for _ in text.route] for text in texts]
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._timings: list[Timing] = []
        self._began_s = time.perf_counter()
        self._make_rows()

    def submit(self) -> None:
        """Queue the rows of the current leg.

        Raises:
            Overloaded: the queue is full.
            TooLarge: the rows would never fit into the queue.
            Unavailable: a model has failed or is no longer served.
        """
        work, self._work = self._work, []
        self._queue(work)

    def _queue(self, work: Sequence[_Work]) -> None:
        """Queue rows, those of one model as one job. If one model refuses its rows, the rows of all are cancelled."""
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
        """Make the rows of the current leg, for all sentences whose route has this leg.

        Raises:
            InputTooLong: a sentence has more tokens than the model reads and cannot be split.
        """
        self._work = []
        for text, sentences in zip(self._texts, self._sentences, strict=True):
            if self._leg < len(text.route):
                last = self._leg == len(text.route) - 1
                wanted = 1 + self._options.alternatives if last else 1
                leg = text.route[self._leg]
                beams = self._options.beam_size
                for sentence in sentences:
                    if sentence.ready:
                        continue
                    if not leg.rows.spelling.reads(sentence.hypotheses[0].text):
                        sentence.flags += ("unsupported_language",)
                        sentence.ready = True
                        continue
                    source = leg.rows.prepared(sentence.hypotheses[0], leg.source)
                    row = leg.rows.row(source, leg.source, leg.target, wanted, beams)
                    self._work.append(_Work(sentence, source, row, leg))

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
        """Cancel all queued rows, because the client no longer wants the translation."""
        for queued in self._queued:
            queued.job.cancel()

    def done(self) -> Done[Translation]:
        """The translations of all inputs, in their order. Call it after the iteration has ended."""
        items = [self._assemble(i, text) for i, text in enumerate(self._texts)]
        return Done(items, self.usage, self.timing)

    @property
    def usage(self) -> Usage:
        """The numbers of prompt and completion tokens so far."""
        return Usage(self._prompt_tokens, self._completion_tokens)

    @property
    def timing(self) -> Timing:
        """The times of events over all legs, in seconds."""
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
        """Queue flagged sentences once more. If the queue has no room, the first translations are kept."""
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
        leg = work.leg
        made = [leg.rows.candidate(work.source, work.row, each, leg.source, leg.target) for each in result.hypotheses]
        was_retry = work.is_retry
        if not was_retry or len(made[0].flags) < len(work.flags):
            best = result.hypotheses[0]
            work.hypotheses = [candidate.sentence for candidate in made]
            work.flags, work.logprob, work.tokens = made[0].flags, best.mean_logprob, len(best.tokens)
        if work.flags and not was_retry:
            work.row = leg.rows.again(self._row_again(work, made[0].sentence))
            self._retries.append(work)
        else:
            self._settle(work)

    @staticmethod
    def _row_again(work: _Work, made: Marked) -> TranslationRow:
        """The row of a second try. Items that the first try altered are held back in it."""
        leg, row = work.leg, work.row
        if "altered" not in work.flags:
            return row
        work.source = leg.rows.stronger(work.source, made, leg.source, leg.target)
        return leg.rows.row(work.source, leg.source, leg.target, row.hypotheses, row.beam_size)

    def _settle(self, work: _Work) -> None:
        """Accept the result of this leg for a sentence."""
        sentence = work.sentence
        confidence = work.leg.rows.confidence(work.logprob) if work.tokens else None
        if work.leg.rows.is_doubtful(confidence):
            if not self._leg and is_foreign(sentence.hypotheses[0].text, work.leg.rows.languages):
                sentence.flags += ("unsupported_language",)
                sentence.ready = True
                return
            sentence.flags += ("low_confidence",)
        self._tallies[sentence.text][self._leg].add(work.tokens, work.logprob, confidence)
        sentence.hypotheses = work.hypotheses or sentence.hypotheses
        sentence.flags += work.flags
        sentence.ready = self._leg == len(self._texts[sentence.text].route) - 1

    def _ready_parts(self, only: int | None = None) -> list[Part]:
        """The parts that can be sent now: the next ready sentences of each input, with the gaps around them."""
        parts = []
        for i in range(len(self._texts)) if only is None else (only,):
            document, sentences = self._texts[i].document, self._sentences[i]
            text = ""
            flags: Sequence[Flag] = ()
            if self._sent[i] < 0:
                self._sent[i] = 0
                text = document.gaps[0]
            while self._sent[i] < len(sentences) and sentences[self._sent[i]].ready:
                sentence = sentences[self._sent[i]]
                if text and (flags or sentence.flags):
                    parts.append(Part(i, text, flags))
                    text = ""
                flags = sentence.flags
                text += document.write(sentence.hypotheses[0]) + document.gaps[self._sent[i] + 1]
                self._sent[i] += 1
            if text:
                parts.append(Part(i, text, flags))
        return parts

    def _assemble(self, index: int, text: Text) -> Translation:
        sentences = self._sentences[index]

        def variant(n: int) -> str:
            return text.document.join([s.hypotheses[min(n, len(s.hypotheses) - 1)] for s in sentences])

        unread = sum(len(each.hypotheses[0].text) for each in sentences if "unsupported_language" in each.flags)
        read = 0 if text.flags else 1 - unread / max(1, sum(len(each.hypotheses[0].text) for each in sentences))
        return Translation(
            text=variant(0),
            source=text.source,
            target=self._target,
            detected=text.detected,
            confidence=read * math.prod(leg.confidence for leg in self._tallies[index]),
            alternatives=[variant(n) for n in range(1, 1 + self._options.alternatives)] if sentences else [],
            pivot=text.route[0].target if len(text.route) > 1 else None,
            via=[leg.model for leg in text.route],
            flags=sorted({*text.flags, *(flag for sentence in sentences for flag in sentence.flags)}),
        )
