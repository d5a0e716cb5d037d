"""Parts of a text that a translation keeps: placeholders, addresses, code, emoji, and the terms of a client's glossary.

This module knows the usual notations of message files, but nothing of languages: a glossary finds only the written
forms of its terms. It reads clients' texts before any limit applies, so every pattern here takes time at most
proportional to the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from server.tasks.text.sentences import ADDRESS, FILE_TYPES, TOP_DOMAINS

_BRACES = (
    r"\{\{\{[^{}\n]{0,80}\}\}\}"  # Mustache, unescaped
    r"|<%[=-]?[^%>\n]{0,80}%>"  # ERB, EJS
    r"|\[\[[^\[\]\n]{0,80}\]\]"  # wikis, Twine
    r"|\$t\([^()\n]{0,80}\)"  # i18next
    r"|\{\{[^{}\n]{0,80}\}\}"  # Mustache, Jinja, Vue
    r"|[$#%]\{[^{}\n]{0,80}\}"  # shells, JavaScript, Ruby
    r"|\{[^\s{}]{0,80}\}"  # Python, C#, ICU
    r"|\{\s{0,9}\w{1,60}\s{0,9},\s{0,9}(?:plural|select|selectordinal|number|date|time)\b"
    r"(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,400}\}){0,400}\}){0,400}\}"
)
_PRINTF = (
    r"(?<![\d%])%(?:\(\w{1,60}\)|\d{1,2}\$)?[-+0#]{0,3}\d{0,3}(?:\.\d{1,3})?(?:l|ll|h|z)?[sdifuxXceEgGrn@]"
    r"(?![A-Za-z])(?:%%)?|(?<!%)%%(?!%)"
)
_NAMED = (
    r"%\w{2,40}%|(?<!\w)\$[A-Za-z_]\w*|\[[A-Z][A-Z0-9_]{1,60}\]|(?<!\w)[@#][A-Za-z_]\w*|(?<!\S):[a-z_]{2,40}:(?!\S)"
    r"|(?<!\S):[a-z][a-z_]{1,40}(?![\w:])"
)
_CODE = r"`[^`\n]+`|&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]\w{1,30});"
_IDENTIFIER = (
    r"(?<![\w/])(?:[a-zA-Z]\w*)?[a-zA-Z0-9]_[a-zA-Z0-9]\w*(?:\(\))?"
    r"|(?<!\w)[a-zA-Z_][\w.]{0,80}\(\)|(?<!\S)--[a-zA-Z][\w-]*"
)
_PATH = r"(?<!\S)(?:~|\.{1,2})?/[\w.+@-]*\w(?:/[\w.+@-]*\w)*/?(?![\w/])|(?<!\w)[A-Za-z]:\\\S*\w"
_FILE = (
    rf"(?<![\w.-])[\w-]{{1,80}}(?:\.[\w-]{{1,40}}){{0,4}}\.(?:{FILE_TYPES})(?![\w-])"
    rf"|(?<![\w.@-])(?:[a-z0-9-]{{1,63}}\.){{1,5}}(?:{TOP_DOMAINS})(?![\w-])"
)
_NUMBERED = (
    r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"  # IBAN
    r"|(?<![\w:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])"  # MAC address
    r"|(?<!\w)#\d{3}[\w-]{0,40}(?<=\w)"
    r"|(?<!\w)[vV]\d{1,5}(?:\.\d{1,5}){1,4}(?!\w)"
    r"|(?<![\w-])(?=[A-Z0-9-]{0,12}\d)(?=[A-Z0-9-]{0,40}[A-Z])[A-Z0-9]{1,20}(?:-[A-Z0-9]{1,20}){0,4}(?![\w-])(?<=\d\d\d)"
)
_COPY = re.compile("|".join((_CODE, ADDRESS, _FILE, _BRACES, _PRINTF, _NAMED, _NUMBERED, _IDENTIFIER, _PATH)))
_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff\u2300-\u23ff\u25a0-\u25ff"
    "\u200d\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f\ue000-\uf8ff\ufffc"
)
_POINT = re.compile(rf"[0-9#*]\ufe0f?\u20e3|[{_EMOJI}]+")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>\n]{0,200}>")
_ORDERED = re.compile(r"%(?!\()(?!\d+\$)\W{0,3}[\d.]*[a-zA-Z@]{1,3}|\{[:!]?[^\w{}]*\}")
# The whole word around a placeholder is protected: "file{n}.txt", "{size}px".
_LONGEST_WORD = 60
_WORD_BEFORE = re.compile(rf"\w[\w./-]{{0,{_LONGEST_WORD - 1}}}$")
_GENITIVE = re.compile(r"['\u2019]s(?!\w)")
_WORD_AFTER = re.compile(rf"(?:[./-]?\w){{1,{_LONGEST_WORD}}}")


STRETCH = 50_000
EDGE = 9_000
"""In characters. No pattern reads more than an edge to find that there is no match at a place."""


@dataclass(frozen=True, slots=True)
class Protected:
    """A stretch of text at ``start`` to ``end`` (in characters) that must not be translated.

    A *copy* takes the place of a word. A *point*, such as an emoji, is no part of the sentence. A *tag* stands around
    or between words.
    """

    kind: Literal["copy", "point", "tag"]
    start: int
    end: int
    is_ordered: bool = False
    """Whether only its order tells it from others of its kind, as with ``%s``."""


def find_protected(text: str, *, tags: bool = True) -> list[Protected]:
    """The stretches of a text that must not be translated, in order and without overlaps.

    Args:
        text: plain text.
        tags: whether ``<name>`` is a tag. False for the text of an HTML document, where it is text.
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
    """Yield the matches that ``finditer`` would find; matches longer than ``edge`` characters may be missed.

    The search goes through the text by stretches, because ``re`` holds the interpreter's lock from one match to the
    next. The pattern must not match an empty text.
    """
    at = 0
    while at < len(text):
        end = min(len(text), at + stretch)
        match = pattern.search(text, at, end)
        if match is not None and match.end() > end - edge and end < len(text):
            match = pattern.search(text, match.start())  # with more text the match may be longer
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
        if genitive := _GENITIVE.match(text, end):
            end = genitive.end()
        yield Protected("copy", start, end, _ORDERED.fullmatch(match[0]) is not None)
    for match in _POINT.finditer(text):
        yield Protected("point", *match.span())
    if tags:
        for match in _TAG.finditer(text):
            yield Protected("tag", *match.span())


_ATOM = re.compile(r"\w+|[^\w\s]")
"""A word or a sign. Texts and terms are split into these."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase and its translation. If ``target`` equals ``source``, the translation keeps the text's form."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Found:
    """A term found at ``start`` to ``end`` (in characters) of a text, and the text that must replace it."""

    start: int
    end: int
    target: str
    stays: bool


@dataclass(frozen=True, slots=True)
class _Atom:
    """A word or a sign of a text."""

    start: int
    end: int
    folded: str
    spaced: bool
    """Whether a space comes before the atom."""


@dataclass(slots=True)
class _Branch:
    """A node of the prefix tree: all terms that begin with the same words."""

    term: Term | None = None
    """The term that ends here."""
    longer: dict[tuple[str, bool], "_Branch"] = field(default_factory=dict)
    """The branches below, by the next word and whether a space comes before it."""


class Glossary:
    """Finds terms in texts, as whole words in upper or lower case. Where several terms begin, it finds the longest.

    The search looks up word after word in dicts, so its time does not depend on the number of terms. A client's terms
    never become regular expressions, since Python caches these and would keep them in memory.
    """

    def __init__(self, terms: Sequence[Term] = ()) -> None:
        self._terms = _Branch()
        for term in reversed(terms):  # of two terms with the same words the first counts
            branch = self._terms
            for i, atom in enumerate(_atoms(" ".join(term.source.split()))):
                branch = branch.longer.setdefault((atom.folded, bool(i) and atom.spaced), _Branch())
            branch.term = term
        self._terms.term = None

    def find(self, text: str) -> list[Found]:
        """The terms in a text, in order and without overlaps."""
        if not self._terms.longer:
            return []
        atoms = _atoms(text)
        found = []
        i = 0
        while i < len(atoms):
            after, term = self._longest(atoms, i)
            if term is None:
                i += 1
                continue
            start, end = atoms[i].start, atoms[after - 1].end
            stays = term.source == term.target
            found.append(Found(start, end, text[start:end] if stays else term.target, stays))
            i = after
        return found

    def _longest(self, atoms: Sequence[_Atom], start: int) -> tuple[int, Term | None]:
        """The longest term that begins at this atom, or None, after the index of the atom that follows the term."""
        best: tuple[int, Term | None] = start, None
        if start and not atoms[start].spaced and _is_word(atoms, start - 1):
            return best
        branch, at = self._terms, start
        while at < len(atoms):
            key = atoms[at].folded, at > start and atoms[at].spaced
            if (longer := branch.longer.get(key)) is None:
                break
            branch, at = longer, at + 1
            cuts_word = at < len(atoms) and not atoms[at].spaced and _is_word(atoms, at)
            if branch.term is not None and not cuts_word:
                best = at, branch.term
        return best


def _atoms(text: str) -> list[_Atom]:
    found: list[_Atom] = []
    at = 0
    for match in _ATOM.finditer(text):
        start, end = match.span()
        found.append(_Atom(start, end, match[0].casefold(), start > at))
        at = end
    return found


def _is_word(atoms: Sequence[_Atom], at: int) -> bool:
    return atoms[at].folded[0].isalnum() or atoms[at].folded[0] == "_"
