"""Moderation by a guard model: a generator that was trained to write a verdict on a text, and the kinds of its harm.

Two forms are known by the prompt that a model's own chat template writes: Qwen3Guard's ("Safety: Unsafe" and
"Categories: Violent") and Llama Guard's ("unsafe" and "S1,S10"). Nothing is decoded freely. The server scores the
verdicts that the form allows, then the categories after the likelier verdict of harm, each set scaled to a sum of one.
If the verdict is not "safe", it goes on to further categories until the end is likelier. So there is always a verdict,
with a probability, and the same one each time. This module knows no HTTP and no names of OpenAI's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.probabilities import softmax
from models.registry import ModelCard
from server.errors import ContextLengthExceeded, InvalidValue
from server.tasks.generation.options import GenerationOptions
from server.tasks.generation.task import Generation
from server.tasks.likelihood import Likelihoods, Row
from server.tasks.model import Model
from server.tasks.offload import offload, size_of
from server.tasks.results import Done

Severity = Literal["safe", "controversial", "unsafe"]

MOST_CATEGORIES = 3
"""The most categories of one text."""

GROUP_TEXTS = 16
"""The texts of one request that are read at once: about two portions of likelihoods."""

PROBE = [{"role": "user", "content": "N/A"}]

_BEGIN, _END = "<BEGIN UNSAFE CONTENT CATEGORIES>", "<END UNSAFE CONTENT CATEGORIES>"
_NUMBERED = re.compile(r"(S\d{1,2}): ([^\n]{1,80})")
_QWEN: Mapping[Severity, str] = {
    "safe": "Safety: Safe",
    "controversial": "Safety: Controversial",
    "unsafe": "Safety: Unsafe",
}
_LLAMA: Mapping[Severity, str] = {"safe": "safe", "unsafe": "unsafe"}


@dataclass(frozen=True, slots=True)
class GuardForm:
    """The form of a guard model's answers."""

    verdicts: Mapping[Severity, str]
    """The text of each verdict, as the model writes it."""
    before: str
    """The text between a verdict and the first category."""
    between: str
    """The text between two categories."""
    categories: Mapping[str, str]
    """The name of each category, by the text that the model writes for it."""

    @classmethod
    def of(cls, prompt: str) -> "GuardForm | None":
        """The form that a rendered prompt asks for; None: it is no guard model's prompt."""
        listed = prompt.partition(_BEGIN)[2].partition(_END)[0]
        lines = [line.strip() for line in listed.splitlines() if line.strip()]
        if _QWEN["safe"] in prompt and _QWEN["unsafe"] in prompt:
            names = {name: name for line in lines if (name := line.removesuffix("."))}
            verdicts = {severity: text for severity, text in _QWEN.items() if text in prompt}
            return cls(verdicts, "\nCategories: ", ", ", names) if names else None
        if "'safe' or 'unsafe'" in prompt:
            found = [match for line in lines if (match := _NUMBERED.fullmatch(line)) is not None]
            lead = "" if prompt.endswith("\n\n") else "\n\n"  # a few templates leave the empty line to the model
            verdicts = {severity: lead + text for severity, text in _LLAMA.items()}
            return (
                cls(verdicts, "\n", ",", {match[1]: match[2].removesuffix(".") for match in found}) if found else None
            )
        return None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one text."""

    verdict: Severity
    scores: Mapping[Severity, float]
    """The probability of each verdict that the model knows; they sum to one."""
    categories: Sequence[str]
    """The names of the categories of its harm, the likeliest first; empty if it is safe."""
    category_scores: Mapping[str, float]
    """For each category how likely the model names it, if the text is harmful."""


class Guard:
    """Moderation by one guard model."""

    def __init__(self, model: Model, generation: Generation, form: GuardForm) -> None:
        self._model = model
        self._generation = generation
        self._form = form

    @classmethod
    def of(cls, model: Model, generation: Generation) -> "Guard | None":
        """The guard that a generator is by its chat template; None: it is none."""
        if _BEGIN not in generation.template_source:
            return None
        try:
            form = GuardForm.of(generation.chat_text(PROBE))
        except InvalidValue:  # the template takes other messages
            return None
        return cls(model, generation, form) if form is not None else None

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._model.card

    @property
    def form(self) -> GuardForm:
        """The form of the model's answers."""
        return self._form

    async def judge(self, texts: Sequence[str]) -> Done[Judgement]:
        """Judge texts independently, each as the message of a user.

        Args:
            texts: n texts, each non-empty.

        Raises:
            InvalidValue: a text is empty. All texts are checked before any is queued.
            ContextLengthExceeded: a text is longer than the model reads.
            UnsupportedParameter: the model's engine cannot score answers.
            Unavailable, Overloaded: as ``Likelihoods``.
        """
        likelihoods = Likelihoods(self._model)
        readings = await offload(
            lambda: [_Reading(self._prompt(text, index), self) for index, text in enumerate(texts)], size_of(texts)
        )
        for start in range(0, len(readings), GROUP_TEXTS):
            await self._read(readings[start : start + GROUP_TEXTS], likelihoods)
        return Done([reading.judgement() for reading in readings], likelihoods.usage, likelihoods.timing)

    async def _read(self, readings: "Sequence[_Reading]", likelihoods: Likelihoods) -> None:
        """Bring some texts to their verdicts."""
        while waiting := [reading for reading in readings if reading.rows]:
            await likelihoods.add([reading.rows[0] for reading in waiting])  # the others find its prefix cached
            await likelihoods.add([row for reading in waiting for row in reading.rows])
            sums = [[likelihoods.sum(row) for row in reading.rows] for reading in waiting]

            def take(waiting: Sequence[_Reading] = waiting, sums: Sequence[Sequence[float]] = sums) -> None:
                for reading, found in zip(waiting, sums, strict=True):
                    reading.take(found)

            await offload(take, sum(len(row[0]) for reading in waiting for row in reading.rows))

    def encode(self, text: str) -> list[int]:
        """The ids of an answer of the form."""
        return self._model.tokenizer.encode(text)

    @property
    def end_ids(self) -> Sequence[int]:
        """The ids that end an answer."""
        return sorted(self._generation.stop_ids)

    def _prompt(self, text: str, index: int) -> list[int]:
        if not text.strip():
            raise InvalidValue(f"Input {index} is empty.", "input")
        thinking = GenerationOptions(thinking_budget=0 if self._generation.thinks else None)
        ids = self._generation.chat_prompt([{"role": "user", "content": text}], None, thinking).ids
        longest = max(len(self.encode(name)) for name in self._form.categories)
        room = len(self.encode(self._form.verdicts["unsafe"])) + 4 + MOST_CATEGORIES * (longest + 2)
        if len(ids) + room > (most := self.card.context_length_tokens):
            raise ContextLengthExceeded(len(ids), room, most, "input")
        return ids


class _Reading:
    """One text's way from verdicts to categories. ``rows`` are to be scored next; at its end there are none."""

    def __init__(self, prompt: Sequence[int], guard: Guard) -> None:
        self._prompt = prompt
        self._guard = guard
        self._form = guard.form
        self._scores: dict[Severity, float] = {}
        self._named: list[str] = []
        self._likely: dict[str, float] = {}
        self._answer = ""
        self._options: list[str] = []
        self.rows: list[Row] = self._rows([guard.encode(text) for text in self._form.verdicts.values()])

    def take(self, sums: Sequence[float]) -> None:
        """Take the log-likelihoods of the rows, and make the next ones."""
        probabilities = _shares(self.rows, sums)
        if not self._scores:
            self._scores = dict(zip(self._form.verdicts, probabilities, strict=True))
            harmful = [severity for severity in self._form.verdicts if severity != "safe"]
            worst = max(harmful, key=lambda severity: self._scores[severity])
            self._answer = self._form.verdicts[worst] + self._form.before
        else:
            for written, probability in zip(self._options, probabilities, strict=False):
                name = self._form.categories[written]
                self._likely[name] = max(self._likely.get(name, 0.0), probability)
            best = int(np.argmax(probabilities[: len(self._options)]))
            ended = sum(probabilities[len(self._options) :]) > probabilities[best]
            if self._verdict == "safe" or ended:
                self.rows = []
                return
            self._named.append(self._options[best])
            self._answer += self._options[best]
        self.rows = self._next()

    @property
    def _verdict(self) -> Severity:
        return max(self._scores, key=lambda severity: self._scores[severity])

    def judgement(self) -> Judgement:
        """The verdict, once there are no more rows."""
        named = [self._form.categories[written] for written in self._named]
        return Judgement(self._verdict, self._scores, named, self._likely)

    def _next(self) -> list[Row]:
        """The rows of the next category and, after the first, of the answer's end."""
        self._options = [written for written in self._form.categories if written not in self._named]
        if len(self._named) == MOST_CATEGORIES or not self._options:
            return []
        between = self._form.between if self._named else ""
        answers = [self._guard.encode(self._answer + between + written) for written in self._options]
        if self._named:
            so_far = self._guard.encode(self._answer)
            answers += [[*so_far, end] for end in self._guard.end_ids]
            self._answer += between
        return self._rows(answers)

    def _rows(self, answers: Sequence[Sequence[int]]) -> list[Row]:
        """The rows of answers, scored from the first token in which two of them differ."""
        least = min(len(answer) for answer in answers) - 1
        shared = next((i for i in range(least) if len({answer[i] for answer in answers}) > 1), least)
        return [((*self._prompt, *answer), len(self._prompt) + shared) for answer in answers]


def _shares(rows: Sequence[Row], sums: Sequence[float]) -> list[float]:
    """The probabilities of answers, scaled to a sum of one.

    An answer that begins another one ("S1" and "S10", where each digit is a token) loses the other's likelihood.
    """
    likelihoods = np.exp(np.array(sums) - max(sums))
    own = likelihoods.copy()
    for i, (ids, _) in enumerate(rows):
        longer = [j for j, (other, _) in enumerate(rows) if len(other) > len(ids) and other[: len(ids)] == ids]
        own[i] = max(own[i] - likelihoods[longer].sum(), 1e-12)
    shares: list[float] = softmax(np.log(own)).tolist()
    return shares
