"""A summary as plain data: its sentences, each with the places in the source that it rests on, and what is wrong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MOST_SENTENCES, MOST_WORDS = 100, 2000

Check = Literal["support", "numbers", "names", "negations"]
Fault = Literal["unsupported", "number", "name", "negation"]

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]++")


def count_words(text: str) -> int:
    """The words of a text: what stands between spaces, and each character of Chinese and Japanese."""
    return sum(1 for _ in _WORD.finditer(text))


@dataclass(frozen=True, slots=True)
class Length:
    """The most that a summary has; whole sentences are left out to keep to it."""

    sentences: int = MOST_SENTENCES
    words: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A sentence of the source: ``source[start:end]``."""

    start: int
    end: int
    score: float
    """Extractive: how much the sentence says of its section. Abstractive: how near it is to the summary's sentence."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A fault of one sentence of a summary, at ``sentence[start:end]``."""

    fault: Fault
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SummarySentence:
    """One sentence of a summary."""

    text: str
    sources: Sequence[Span]
    """The source's sentences that it rests on, the nearest first. An extracted sentence is its one source."""
    section: int | None = None
    """The index of its section."""
    flags: Sequence[Flag] = ()


@dataclass(frozen=True, slots=True)
class SummarySection:
    """A section of the source that has a sentence in the summary, and the place of its text in the source."""

    heading: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one text."""

    sentences: Sequence[SummarySentence]
    language: str | None
    """The source's language; None if it is unknown."""
    sections: Sequence[SummarySection] = ()
    """The source's sections in its order; empty if it has no headings or these were not to part it."""
    checks: Sequence[Check] = ()
    """The checks that were made of the summary. Extracted sentences need none."""
    is_cut: bool = False
    """Whether sentences were left out because the model wrote more than the length."""

    @property
    def text(self) -> str:
        """The sentences in order; those of a section under its heading."""
        if not self.sections:
            return " ".join(sentence.text for sentence in self.sentences)
        parts = []
        for index, section in enumerate(self.sections):
            said = " ".join(sentence.text for sentence in self.sentences if sentence.section == index)
            parts.append(f"{section.heading}\n{said}" if section.heading is not None else said)
        return "\n\n".join(parts)
