"""From the tags of a text's tokens to entities: which tokens make a word, which words an entity.

Pure functions on texts, places and probabilities. Knows no models.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.tokenizers import Span

Floats = npt.NDArray[np.float32]
Aggregation = Literal["none", "simple", "first", "average", "max"]

OUTSIDE = "O"
_BEGINS, _ENDS = frozenset("BSU"), frozenset("ESLU")
"""Prefixes of tags that begin an entity, and of tags that end one: BIO, BIOES and BILOU."""
_PREFIXES = frozenset("BIESLU")
_SPACELESS = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Scripts that write no spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A part of a text."""

    label: str
    begin: int
    """Its place in the text, in characters: from, up to."""
    end: int
    score: float
    """The mean probability of its words' tags."""
    tag: str = ""
    """Without aggregation: the token's own tag, with its prefix."""
    token: int = 0
    """Without aggregation: the token's place among the text's tokens."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """A token or a word, and its tag."""

    begin: int
    end: int
    tag: int
    score: float
    token: int


def label_of(tag: str) -> str:
    """The label of a tag, without the prefix that says where in an entity the tag stands; empty for ``O``."""
    return "" if tag == OUTSIDE else _parts(tag)[1]


def labels_of(tags: Sequence[str]) -> tuple[str, ...]:
    """The labels of tags, each once."""
    return tuple(dict.fromkeys(label for tag in tags if (label := label_of(tag))))


def entities(
    text: str, spans: Sequence[Span], probabilities: Floats, tags: Sequence[str], aggregation: Aggregation
) -> list[Entity]:
    """The entities of a text, in order. None of them overlap.

    Args:
        text: the text.
        spans: its tokens, in order.
        probabilities: of the tags of each token, shape (tokens, tags).
        tags: their names.
        aggregation: ``none``: each token with a tag is an entity. ``simple``: tokens are put together by their tags.
            ``first``, ``average``, ``max``: words are, each by the tag of its first token, the mean of its tokens'
            probabilities, or its surest token; so an entity never begins or ends within a word.
    """
    if not spans:
        return []
    units = _tokens(spans, probabilities)
    if aggregation == "none":
        single = (
            Entity(label_of(tags[unit.tag]), unit.begin, unit.end, unit.score, tags[unit.tag], unit.token)
            for unit in units
        )
        return list(_apart(text, (each for each in single if each.label)))
    if aggregation != "simple":
        units = _words(text, spans, probabilities, aggregation)
    return list(_apart(text, _grouped(units, tags)))


def redacted(text: str, found: Sequence[Entity], replacement: str) -> str:
    """The text with each entity replaced; ``{label}`` in the replacement stands for the entity's label."""
    parts, at = [], 0
    for each in found:
        parts += [text[at : each.begin], replacement.replace("{label}", each.label)]
        at = each.end
    return "".join([*parts, text[at:]])


def _tokens(spans: Sequence[Span], probabilities: Floats) -> list[_Unit]:
    best, scores = probabilities.argmax(1).tolist(), probabilities.max(1).tolist()
    return [_Unit(each.begin, each.end, best[i], scores[i], i) for i, each in enumerate(spans)]


def _words(text: str, spans: Sequence[Span], probabilities: Floats, aggregation: Aggregation) -> list[_Unit]:
    """The words, each with the tag that its tokens give it."""
    begins = [0, *(i for i in range(1, len(spans)) if not _joins(text, spans[i - 1], spans[i]))]
    if aggregation == "first":
        rows = probabilities[begins]
    elif aggregation == "average":
        counts = np.diff([*begins, len(spans)]).astype(np.float32)
        rows = np.asarray(np.add.reduceat(probabilities, begins, axis=0) / counts[:, None], np.float32)
    else:
        surest, ends = probabilities.max(1), [*begins[1:], len(spans)]
        rows = probabilities[[a + int(surest[a:b].argmax()) for a, b in zip(begins, ends, strict=True)]]
    best, scores = rows.argmax(1).tolist(), rows.max(1).tolist()
    lasts = [*(i - 1 for i in begins[1:]), len(spans) - 1]
    return [
        _Unit(spans[a].begin, max(spans[a].end, spans[b].end), best[i], scores[i], a)
        for i, (a, b) in enumerate(zip(begins, lasts, strict=True))
    ]


def _joins(text: str, before: Span, after: Span) -> bool:
    """Whether two neighbouring tokens are parts of one word."""
    if after.begin < before.end:  # parts of one character
        return True
    if before.word != after.word or after.begin != before.end or not before.begin < before.end < len(text):
        return False
    left, right = text[before.end - 1], text[after.begin]
    return _is_inside(left) and _is_inside(right)


def _is_inside(character: str) -> bool:
    code = ord(character)
    return unicodedata.category(character)[0] in "LNM" and not any(low <= code <= high for low, high in _SPACELESS)


def _grouped(units: Sequence[_Unit], tags: Sequence[str]) -> Iterator[Entity]:
    """Put units together that belong to one entity by their tags."""
    open_units: list[_Unit] = []
    label, is_ended = "", False
    for unit in units:
        prefix, name = _parts(tags[unit.tag]) if tags[unit.tag] != OUTSIDE else ("", "")
        if open_units and (name != label or is_ended or prefix in _BEGINS):
            yield _entity(open_units, label)
            open_units = []
        if name:
            open_units.append(unit)
        label, is_ended = name, prefix in _ENDS
    if open_units:
        yield _entity(open_units, label)


def _entity(units: Sequence[_Unit], label: str) -> Entity:
    score = sum(unit.score for unit in units) / len(units)
    return Entity(label, units[0].begin, max(unit.end for unit in units), score)


def _apart(text: str, found: Iterable[Entity]) -> Iterator[Entity]:
    """The entities without white space at their ends, and without characters that an entity before them has.

    Some tokenizers count the space before a word as a part of it, and tokens of bytes can share a character.
    """
    at = 0
    for each in found:
        begin = max(each.begin, at)
        part = text[begin : each.end]
        begin, end = each.end - len(part.lstrip()), begin + len(part.rstrip())
        if begin < end:
            at = end
            yield replace(each, begin=begin, end=end)


def _parts(tag: str) -> tuple[str, str]:
    """The prefix and label of a tag that is not ``O``. A tag without prefix continues an entity, as ``I-`` does."""
    if len(tag) > 2 and tag[1] in "-_" and tag[0] in _PREFIXES:
        return tag[0], tag[2:]
    return "I", tag
