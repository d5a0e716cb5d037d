"""Questions answered by a generator: how much likelier the input makes each answer than no input does.

The answers' tokens are scored where the assistant's turn begins, never decoded, so every question has an answer and
the same one each time. ``docs/decisions.md`` says how and why. Knows no HTTP.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.probabilities import softmax
from models.registry import ModelCard
from server.batching.job import Timing
from server.engines.rows import Generated, GenerationRow
from server.errors import ContextLengthExceeded, InvalidValue, UnsupportedParameter
from server.tasks.decisions import Question
from server.tasks.generation.task import Generation
from server.tasks.model import Model
from server.tasks.offload import offload, size_of
from server.tasks.results import Done, Usage

NO_INPUT = "N/A"
"""What stands in the input's place when an answer's likelihood without it is measured."""

YES_NO = ("yes", "no")

PORTION_ROWS, PORTION_TOKENS = 64, 50_000
"""So much of one request is in line at once: hundreds of questions must not fill it up."""

Row = tuple[tuple[int, ...], int]
"""A prompt's ids, and the place from which they are an answer."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The rows of one question: for each of its answers after the input, and after none."""

    informed: Sequence[Row]
    blind: Sequence[Row]


class ByLikelihood:
    """Questions answered by a generator."""

    def __init__(self, model: Model, generation: Generation) -> None:
        self._model = model
        self._generation = generation

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    async def decide(self, text: str, questions: Sequence[Question]) -> Done[Sequence[float]]:
        """See ``Decider``. What rows have in common is computed once: the first row goes ahead of all others, and
        the first of each question ahead of its others, so that those find it in the prefix cache.

        Raises:
            UnsupportedParameter: the model's engine cannot score what it is given.
            ContextLengthExceeded: an input with a question and an answer is longer than the context.
        """
        self._model.require_ready()
        if "prompt_logprobs" not in self._model.engine.honours:
            why = f"'{self.card.id}' runs on an engine that cannot score answers exactly; another model can."
            raise UnsupportedParameter("model", why)
        asked = [_asked(question) for question in questions]
        size = size_of(asked) + len(text) * len(questions)
        scored = await offload(lambda: [self._rows(text, q, i) for i, q in enumerate(questions)], size)
        logprobs: dict[Row, float] = {}
        timings: list[Timing] = []
        read = cached = 0
        for rows in _portions(scored):
            results, timing = await self._score(rows)
            timings.append(timing)
            for row, result in zip(rows, results, strict=True):
                logprobs[row] = sum(token.logprob or 0.0 for token in result.prompt) / len(result.prompt)
                read, cached = read + len(row[0]), cached + result.cached_tokens
        answers = [_answer(question, rows, logprobs) for question, rows in zip(questions, scored, strict=True)]
        return Done(answers, Usage(read, 0, cached), _together(timings))

    async def _score(self, rows: Sequence[Row]) -> tuple[Sequence[Generated], Timing]:
        job = self._model.batcher.submit([GenerationRow(ids, max_tokens=0, score_from=start) for ids, start in rows])
        try:
            return await job.results(), job.timing
        finally:
            job.cancel()

    def _rows(self, text: str, question: Question, index: int) -> Scored:
        answers = [self._ids(answer, index) for answer in _answers(question)]
        informed, blind = (
            [self._row(context, answer, index) for answer in answers]
            for context in (self._context(text, question), self._context(NO_INPUT, question))
        )
        return Scored(informed, blind)

    def _context(self, text: str, question: Question) -> list[int]:
        """The ids of the conversation up to the answer; the input comes first, for all questions have it."""
        content = f"{text}\n\n{_asked(question)}"
        return self._generation.chat_prompt([{"role": "user", "content": content}], None).ids

    def _ids(self, answer: str, index: int) -> list[int]:
        if not (ids := self._model.tokenizer.encode(answer)):
            raise InvalidValue(f"'{answer}' has no text that could be an answer.", f"questions.{index}")
        return ids

    def _row(self, context: list[int], answer: list[int], index: int) -> Row:
        most = self.card.context_length_tokens
        if len(context) + len(answer) > most:
            raise ContextLengthExceeded(len(context), len(answer), most, f"questions.{index}")
        return (*context, *answer), len(context)


def _asked(question: Question) -> str:
    """The question in words. Answers are listed only where one is described: lists sway small models."""
    if question.is_predicate:
        return f"Is this true: {question.instructions}\nAnswer yes or no."
    if not any(option.description for option in question.options):
        return question.instructions
    told = [f"- {option.words}" + (f": {option.description}" * bool(option.description)) for option in question.options]
    return "\n".join([question.instructions, "Answer with one of these:", *told])


def _answers(question: Question) -> Sequence[str]:
    return YES_NO if question.is_predicate else [option.words for option in question.options]


def _answer(question: Question, rows: Scored, logprobs: dict[Row, float]) -> Sequence[float]:
    """The probabilities of a question's answers, from the mean log-probabilities of their tokens."""
    pairs = zip(rows.informed, rows.blind, strict=True)
    gains = np.array([logprobs[informed] - logprobs[blind] for informed, blind in pairs])
    probabilities: list[float] = softmax(gains).tolist()
    return probabilities[:1] if question.is_predicate else probabilities


def _portions(scored: Sequence[Scored]) -> Iterator[Sequence[Row]]:
    """All rows, each once, in portions that go one after the other; a later one finds what an earlier one read."""
    first = [row for one in scored[:1] for row in (one.informed[0], one.blind[0])]
    heads = [row for one in scored for row in (one.informed[0], one.blind[0])]
    rest = [row for one in scored for row in (*one.informed, *one.blind)]
    known: set[Row] = set()
    for wave in (first, heads, rest):
        portion: list[Row] = []
        tokens = 0
        for row in dict.fromkeys(wave):
            if row in known:
                continue
            known.add(row)
            if portion and (len(portion) == PORTION_ROWS or tokens + len(row[0]) > PORTION_TOKENS):
                yield portion
                portion, tokens = [], 0
            portion.append(row)
            tokens += len(row[0])
        if portion:
            yield portion


def _together(timings: Sequence[Timing]) -> Timing:
    """The times of several jobs that ran one after the other, as those of one."""
    first, last = timings[0], timings[-1]
    most = max(timing.batch_rows for timing in timings)
    return Timing(first.queued_s, first.taken_s, first.first_s, last.ended_s, most)
