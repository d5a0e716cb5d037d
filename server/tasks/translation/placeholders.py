"""What in a text is for programs and must come through a translation untouched: placeholders, addresses, code, emoji.

Knows the usual notations of message files, nothing of languages. Texts come as anybody sends them, before any limit:
no pattern here may cost more than in proportion to the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from server.tasks.text.sentences import ADDRESS

_BRACES = (
    r"\{\{[^{}\n]{0,80}\}\}"  # Mustache, Jinja, Vue
    r"|[$#%]\{[^{}\n]{0,80}\}"  # shells, JavaScript, Ruby
    r"|\{[^\s{}]{0,80}\}"  # Python, C#, ICU
    r"|\{\s{0,9}\w{1,60}\s{0,9},\s{0,9}(?:plural|select|selectordinal|number|date|time)\b"
    r"(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,400}\}){0,400}\}){0,400}\}"
)
_PRINTF = (
    r"(?<![\d%])%(?:\(\w{1,60}\)|\d{1,2}\$)?[-+0#]{0,3}\d{0,3}(?:\.\d{1,3})?(?:l|ll|h|z)?[sdifuxXceEgGr@](?![A-Za-z])"
)
_NAMED = (
    r"%\w{2,40}%|(?<!\w)\$[A-Za-z_]\w*|\[[A-Z][A-Z0-9_]{1,60}\]|(?<!\w)[@#][A-Za-z_]\w*|(?<!\S):[a-z_]{2,40}:(?!\S)"
)
_CODE = r"`[^`\n]+`|&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]\w{1,30});"
_IDENTIFIER = (
    r"(?<![\w/])(?:[a-zA-Z]\w*)?[a-zA-Z0-9]_[a-zA-Z0-9]\w*(?:\(\))?"
    r"|(?<!\w)[a-zA-Z_][\w.]{0,80}\(\)|(?<!\S)--[a-zA-Z][\w-]*"
)
_PATH = r"(?<!\S)(?:~|\.{1,2})?/[\w.+@-]*\w(?:/[\w.+@-]*\w)*/?(?![\w/])|(?<!\w)[A-Za-z]:\\\S*\w"
_COPY = re.compile("|".join((_CODE, ADDRESS, _BRACES, _PRINTF, _NAMED, _IDENTIFIER, _PATH)))
_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff\u2300-\u23ff\u25a0-\u25ff"
    "\u200d\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f\ue000-\uf8ff\ufffc"
)
_POINT = re.compile(rf"[0-9#*]\ufe0f?\u20e3|[{_EMOJI}]+")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>\n]{0,200}>")
_ORDERED = re.compile(r"%(?!\()(?!\d+\$)\W{0,3}[\d.]*[a-zA-Z@]{1,3}|\{[:!]?[^\w{}]*\}")
# A word that a placeholder is part of goes with it: "file{n}.txt", "{size}px".
_LONGEST_WORD = 60
_WORD_BEFORE = re.compile(rf"\w[\w./-]{{0,{_LONGEST_WORD - 1}}}$")
_WORD_AFTER = re.compile(rf"(?:[./-]?\w){{1,{_LONGEST_WORD}}}")


STRETCH = 50_000
EDGE = 9_000
"""Longer than what a pattern looks at to tell that nothing begins at a place."""


@dataclass(frozen=True, slots=True)
class Protected:
    """A stretch of text that is not to be translated.

    *copy* stands for a word; *point* is beside the sentence, as an emoji is; *tag* belongs around or between words.
    """

    kind: Literal["copy", "point", "tag"]
    start: int
    end: int
    is_ordered: bool = False
    """Which one it is among its likes is told by its place alone."""


def find_protected(text: str, *, tags: bool = True) -> list[Protected]:
    """What is not to be translated, in order, none overlapping another.

    Args:
        text: plain text.
        tags: whether ``<name>`` is a tag; in text taken from HTML it is text.
    """
    found: list[Protected] = []
    for each in sorted(_candidates(text, tags), key=lambda each: (each.start, -each.end)):
        if found and each.start < found[-1].end:
            if each.end <= found[-1].end or "copy" not in (each.kind, found[-1].kind):
                continue
            last = found.pop()
            each = Protected("copy", last.start, each.end, last.is_ordered or each.is_ordered)
        found.append(each)
    return found


def in_stretches(
    pattern: re.Pattern[str], text: str, stretch: int = STRETCH, edge: int = EDGE
) -> Iterator[re.Match[str]]:
    """The matches that ``finditer`` finds, but for some longer than ``edge``; none may be empty. They are looked for a
    stretch at a time, since ``re`` holds the interpreter from one match to the next.
    """
    at = 0
    while at < len(text):
        end = min(len(text), at + stretch)
        match = pattern.search(text, at, end)
        if match is not None and match.end() > end - edge and end < len(text):
            match = pattern.search(text, match.start())  # more text may make it another one
        if match is not None:
            yield match
            at = match.end()
        else:
            at = end if end == len(text) else end - edge


def _candidates(text: str, tags: bool) -> Iterator[Protected]:
    for match in in_stretches(_COPY, text):
        start, end = match.span()
        before = _WORD_BEFORE.search(text[max(0, start - _LONGEST_WORD) : start])
        after = _WORD_AFTER.match(text, end)
        if before and not match[0].startswith("`"):
            start -= len(before[0])
        if after and not match[0].endswith("`"):
            end = after.end()
        yield Protected("copy", start, end, _ORDERED.fullmatch(match[0]) is not None)
    for match in _POINT.finditer(text):
        yield Protected("point", *match.span())
    if tags:
        for match in _TAG.finditer(text):
            yield Protected("tag", *match.span())
