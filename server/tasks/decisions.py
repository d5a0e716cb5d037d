"""Decisions: questions about one input, answered by probabilities. The model reads the input once for all questions.

A classifier answers questions whose options are labels of its own. An embedding model answers any question zero-shot:
each option is a text, and an option is the likelier the nearer its vector is to the input's vector. A generator answers
by likelihood: it compares the likelihood of each answer after the input with its likelihood without the input. The
engine scores the answers' tokens at the beginning of the assistant's turn and never decodes. So every question gets an
answer, and the same one each time. ``docs/decisions.md`` says how and why. This module knows no HTTP.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.probabilities import softmax
from models.registry import ModelCard
from server.errors import ContextLengthExceeded, InvalidValue
from server.tasks.encoding import Classification, Embedding, unit
from server.tasks.generation.task import Generation
from server.tasks.likelihood import Likelihoods, Row
from server.tasks.model import Model
from server.tasks.offload import offload, size_of
from server.tasks.results import Done

CHOICE_SHARPNESS = 18.0
"""Factor from cosines to logits. Fitted by likelihood on choices among ten intents (``load_tests/zero_shot.py``)."""

PREDICATE_SHARPNESS, PREDICATE_MIDDLE = 10.0, 0.27
"""The same factor for statements, and the cosine at which a statement is as likely true as false."""


@dataclass(frozen=True, slots=True)
class Option:
    """One possible answer."""

    label: str
    description: str = ""

    @property
    def words(self) -> str:
        """The label in words: ``card_arrival`` reads as two."""
        return self.label.replace("_", " ").strip() or self.label

    @property
    def text(self) -> str:
        """The text of the option: its description, or else its label in words."""
        return self.description or self.words


@dataclass(frozen=True, slots=True)
class Question:
    """A statement that is true or false (without options), or a choice among options of which one is right."""

    instructions: str
    options: Sequence[Option] = ()

    @property
    def is_predicate(self) -> bool:
        """Whether the question is a statement, answered by one probability."""
        return not self.options


class Decider(Protocol):
    """A model that answers questions."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""

    async def decide(self, text: str, questions: Sequence[Question]) -> Done[Sequence[float]]:
        """Answer all questions about the text.

        Returns:
            For each question, the probabilities of its options, which sum to one; for a predicate, one
            probability.

        Raises:
            InvalidValue: this model cannot answer a question; the error names the question's place.
        """


class ZeroShot:
    """Questions answered by an embedding model."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._embedding.card

    async def decide(self, text: str, questions: Sequence[Question]) -> Done[Sequence[float]]:
        """Answer as ``Decider`` says. Equal texts are embedded once."""
        wanted = [text]
        for question in questions:
            wanted += [option.text for option in question.options] or [question.instructions]
        unique = list(dict.fromkeys(wanted))
        done = await self._embedding.embed(unique)
        # Not every embedding model normalizes its vectors, but cosines need vectors of length 1.
        vectors = {each: unit(vector) for each, vector in zip(unique, done.items, strict=True)}
        subject = vectors[text]
        answers: list[Sequence[float]] = []
        for question in questions:
            if question.is_predicate:
                cosine = float(subject @ vectors[question.instructions])
                answers.append([float(1 / (1 + np.exp(-PREDICATE_SHARPNESS * (cosine - PREDICATE_MIDDLE))))])
            else:
                cosines = np.array([float(subject @ vectors[option.text]) for option in question.options])
                answers.append(softmax(CHOICE_SHARPNESS * cosines).tolist())
        return Done(answers, done.usage, done.timing)


class ByHead:
    """Questions answered by a classifier's own labels."""

    def __init__(self, classification: Classification) -> None:
        self._classification = classification
        self._labels = {label.casefold(): label for label in classification.head.spec.labels}

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._classification.card

    async def decide(self, text: str, questions: Sequence[Question]) -> Done[Sequence[float]]:
        """Answer as ``Decider`` says. The probabilities of the given options are scaled to sum to one."""
        asked = [self._asked(question, f"questions.{i}") for i, question in enumerate(questions)]
        done = await self._classification.classify([text])
        scores = done.items[0].scores
        answers: list[Sequence[float]] = []
        for question, labels in zip(questions, asked, strict=True):
            probabilities = [scores[label] for label in labels]
            total = sum(probabilities) if not question.is_predicate else 1.0
            answers.append([p / total if total else 1 / len(labels) for p in probabilities])
        return Done(answers, done.usage, done.timing)

    def _asked(self, question: Question, place: str) -> Sequence[str]:
        known = ", ".join(self._labels.values())
        if question.is_predicate:
            words = question.instructions.casefold().replace(".", " ").split()
            named = [label for folded, label in self._labels.items() if folded in words]
            if len(named) != 1:
                raise InvalidValue(
                    f"'{self.card.id}' answers statements that name one of its labels ({known}), such as "
                    f"'The text is {next(iter(self._labels.values()))}'. Other statements need an embedding model.",
                    f"{place}.instructions",
                )
            return named
        for option in question.options:
            if option.label.casefold() not in self._labels:
                raise InvalidValue(
                    f"'{option.label}' is not a label of '{self.card.id}'; it has {known}. Labels of your own need "
                    "an embedding model.",
                    place,
                )
        return [self._labels[option.label.casefold()] for option in question.options]


def certainty(probabilities: Sequence[float]) -> float:
    """How concentrated a distribution is, from 0 to 1: one minus its entropy over the largest possible one."""
    p = np.clip(np.array(probabilities), 1e-12, 1.0)
    return float(np.clip(1 + (p * np.log(p)).sum() / np.log(len(p)), 0.0, 1.0))


NO_INPUT = "N/A"
"""The text that replaces the input to measure an answer's likelihood without the input."""

YES_NO = ("yes", "no")


@dataclass(frozen=True, slots=True)
class Scored:
    """The rows of one question: for each of its answers one row after the input, and one without the input."""

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
        """Answer as ``Decider`` says. The engine computes a prefix that rows share only once.

        For that the first row runs before all others, and the first row of each question before its other rows, so that
        the later rows find the prefix in the cache.

        Raises:
            UnsupportedParameter: the model's engine cannot score prompts.
            ContextLengthExceeded: an input with a question and an answer is longer than the context.
        """
        likelihoods = Likelihoods(self._model)
        asked = [_asked(question) for question in questions]
        size = size_of(asked) + len(text) * len(questions)
        scored = await offload(lambda: [self._rows(text, q, i) for i, q in enumerate(questions)], size)
        for wave in _waves(scored):
            await likelihoods.add(wave)
        answers = [_answer(question, rows, likelihoods) for question, rows in zip(questions, scored, strict=True)]
        return Done(answers, likelihoods.usage, likelihoods.timing)

    def _rows(self, text: str, question: Question, index: int) -> Scored:
        answers = [self._ids(answer, index) for answer in _answers(question)]
        informed, blind = (
            [self._row(context, answer, index) for answer in answers]
            for context in (self._context(text, question), self._context(NO_INPUT, question))
        )
        return Scored(informed, blind)

    def _context(self, text: str, question: Question) -> list[int]:
        """The ids of the conversation up to the answer. The input comes first, because all questions share it."""
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
    """The question as a prompt. It lists the answers only if one has a description, as lists bias small models."""
    if question.is_predicate:
        return f"Is this true: {question.instructions}\nAnswer yes or no."
    if not any(option.description for option in question.options):
        return question.instructions
    told = [f"- {option.words}" + (f": {option.description}" * bool(option.description)) for option in question.options]
    return "\n".join([question.instructions, "Answer with one of these:", *told])


def _answers(question: Question) -> Sequence[str]:
    return YES_NO if question.is_predicate else [option.words for option in question.options]


def _answer(question: Question, rows: Scored, likelihoods: Likelihoods) -> Sequence[float]:
    """The probabilities of a question's answers, from the mean log-probabilities of their tokens."""
    pairs = zip(rows.informed, rows.blind, strict=True)
    gains = np.array([likelihoods.mean(informed) - likelihoods.mean(blind) for informed, blind in pairs])
    probabilities: list[float] = softmax(gains).tolist()
    return probabilities[:1] if question.is_predicate else probabilities


def _waves(scored: Sequence[Scored]) -> Iterator[Sequence[Row]]:
    """Yield all rows in waves that run one after another, so that later rows find prefixes cached."""
    yield [row for one in scored[:1] for row in (one.informed[0], one.blind[0])]
    yield [row for one in scored for row in (one.informed[0], one.blind[0])]
    yield [row for one in scored for row in (*one.informed, *one.blind)]
