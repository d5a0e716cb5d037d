"""Decisions: questions about one input, answered by probabilities. One pass over the input for all questions.

A classifier answers questions whose options are labels of its own. An embedding model answers any question
zero-shot: each option is a text, and the nearer the input's vector is to the option's, the likelier it is. Generators
answer by likelihood (``likelihood.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.probabilities import softmax
from models.registry import ModelCard
from server.errors import InvalidValue
from server.tasks.encoding import Classification, Embedding, unit
from server.tasks.results import Done

CHOICE_SHARPNESS = 18.0
"""Cosines to logits. Fitted by likelihood on choices among ten intents (``load_tests/zero_shot.py``)."""

PREDICATE_SHARPNESS, PREDICATE_MIDDLE = 10.0, 0.27
"""The same for statements; the middle is the cosine at which one is as likely true as not."""


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
        """What the option says."""
        return self.description or self.words


@dataclass(frozen=True, slots=True)
class Question:
    """A statement that is true or not (no options), or options of which one is right."""

    instructions: str
    options: Sequence[Option] = ()

    @property
    def is_predicate(self) -> bool:
        """Whether it asks for one probability."""
        return not self.options


class Decider(Protocol):
    """Who answers questions."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""

    async def decide(self, text: str, questions: Sequence[Question]) -> Done[Sequence[float]]:
        """Answer all questions about the text.

        Returns:
            For each question, the probabilities of its options, which sum to one; for a predicate, one
            probability.

        Raises:
            InvalidValue: a question that this model cannot answer, named by its place.
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
        """See ``Decider``. Equal texts are embedded once."""
        wanted = [text]
        for question in questions:
            wanted += [option.text for option in question.options] or [question.instructions]
        unique = list(dict.fromkeys(wanted))
        done = await self._embedding.embed(unique)
        # Not every embedding model normalizes; cosines want vectors of length 1.
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
        """See ``Decider``. Probabilities of the options asked for are scaled to sum to one."""
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
    """How concentrated a distribution is: 1 less its entropy over the most it could be, from 0 to 1."""
    p = np.clip(np.array(probabilities), 1e-12, 1.0)
    return float(np.clip(1 + (p * np.log(p)).sum() / np.log(len(p)), 0.0, 1.0))
