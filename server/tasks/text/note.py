"""Cuts a text into sections by its headings, and into sentences with their places in the text.

A heading is a line of its own in Markdown's form, in capitals or with a colon at its end, or a label before a text as
in "PLAN: rest". A label that comes back again and again is a speaker's name, and no heading. This module changes no
character of a text, and knows nothing of models.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from server.tasks.text.sentences import parts_of, split_long

_MARKDOWN = re.compile(r"[ \t]*+#{1,6}[ \t]++(?P<name>\S[^\n]*+)")
_CAPITALS = re.compile(r"[ \t]*+(?P<name>[A-ZÀ-Þ][A-ZÀ-Þ0-9,/&()'’-]++(?: [A-ZÀ-Þ0-9,/&()'’-]++){0,7})")
_LABEL = re.compile(r"[ \t]*+(?P<name>[A-ZÀ-Þ][^\s:.!?]*+(?: [^\s:.!?]++){0,5}):(?:[ \t]++|$)")
_LONGEST_HEADING = 60
_SPEAKS = 3
"""A label that begins so many lines is the name of a speaker."""

NAMES = frozenset(
    (
        "allergies", "assessment", "assessment and plan", "chief complaint", "current medications", "diagnosis",
        "disposition", "exam", "family history", "follow up", "follow-up", "history", "history of present illness",
        "imaging", "impression", "labs", "medications", "objective", "past medical history", "past surgical history",
        "physical exam", "physical examination", "plan", "procedures", "recommendations", "results",
        "review of systems", "social history", "subjective", "vital signs", "vitals",
    )
)  # fmt: skip
"""Names of a health note's sections, which are headings also in small letters before a text on the same line."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and the place of the text under it."""

    heading: str | None
    """None: the text has no heading, or this is the text before the first one."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its place: it is ``text[start:end]``."""

    text: str
    start: int
    end: int
    section: int
    """The index of its section."""


@dataclass(frozen=True, slots=True)
class Note:
    """A text as sections of sentences. Every section has at least one sentence."""

    sections: tuple[Section, ...]
    sentences: tuple[Sentence, ...]


def read_note(
    text: str,
    language: str,
    *,
    by_heading: bool = True,
    count_tokens: Callable[[str], int] = len,
    limit_tokens: int = 1_000_000,
    require_room: Callable[[int], None] = lambda sentences: None,
) -> Note:
    """Cut a text into sections and sentences.

    Args:
        text: any text.
        language: ISO 639-1 code of the text's language.
        by_heading: whether headings part the text; otherwise it is one section, and headings are sentences of it.
        count_tokens: counts the tokens of a sentence. A sentence with more than ``limit_tokens`` is cut at clauses.
        limit_tokens: the most tokens of a sentence.
        require_room: called with the number of sentences so far; it raises an error if these are too many.
    """
    found = list(_sections(text)) if by_heading else [Section(None, 0, len(text))]
    sections: list[Section] = []
    sentences: list[Sentence] = []
    for section in found:
        at, before = section.start, len(sentences)
        for part, is_sentence in parts_of(text[section.start : section.end], language):
            pieces = split_long(part, count_tokens, limit_tokens) if is_sentence else [part]
            for piece in pieces:
                core = piece.strip()
                if is_sentence and any(map(str.isalnum, core)):
                    start = at + piece.index(core)
                    sentences.append(Sentence(core, start, start + len(core), len(sections)))
                at += len(piece)
            require_room(len(sentences))
        if len(sentences) > before:
            sections.append(section)
    return Note(tuple(sections), tuple(sentences))


def _sections(text: str) -> Iterator[Section]:
    """Yield the sections of a text in order; together with their headings they cover it."""
    lines = text.splitlines(keepends=True)
    labels = Counter(match["name"] for line in lines if (match := _LABEL.match(line.rstrip())) is not None)
    capitals = sum(map(str.isupper, text)) > 4 * sum(map(str.islower, text))  # then they mark no heading
    heading, start, at = None, 0, 0
    for line in lines:
        body = line.rstrip()
        if (found := _heading(body, labels, all_capitals=capitals)) is not None:
            yield Section(heading, start, at)
            heading, length = found
            start = at + length
        at += len(line)
    yield Section(heading, start, at)


def _heading(line: str, labels: Counter[str], *, all_capitals: bool) -> tuple[str, int] | None:
    """The heading that a line begins with, and the length of the line up to the text after it."""
    if (match := _MARKDOWN.fullmatch(line)) is not None and len(match["name"]) <= _LONGEST_HEADING:
        return match["name"], len(line)
    match = _LABEL.match(line)
    if match is None:
        whole = None if all_capitals else _CAPITALS.fullmatch(line)
        return (whole["name"], len(line)) if whole is not None and len(line) <= _LONGEST_HEADING else None
    name = match["name"]
    if len(name) > _LONGEST_HEADING or labels[name] >= _SPEAKS:
        return None
    if match.end() == len(line) or name.casefold() in NAMES or (name.isupper() and not all_capitals):
        return name, match.end()
    return None
