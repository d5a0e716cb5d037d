"""Fixed translations of terms: which of them a sentence has, and where. Knows no languages: words match as they are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_ATOM = re.compile(r"\w+|[^\w\s]")
"""A word, or a sign: what a text and a term are made of, with or without space between."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase and what it becomes; with ``target`` equal to ``source`` it stays as it is written."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Found:
    """A term in a text, and what is to be put in."""

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
    """Whether space comes before it."""


@dataclass(slots=True)
class _Branch:
    """All terms that begin with the same words."""

    term: Term | None = None
    """The one that ends here."""
    longer: dict[tuple[str, bool], "_Branch"] = field(default_factory=dict)
    """By the next word, and whether space comes before it."""


class Glossary:
    """Terms, looked for as whole words in any case, the longest first.

    They are looked up word by word in dicts: what it takes to find one does not depend on how many there are. A
    client's words become no regular expression: Python keeps those that it has made.
    """

    def __init__(self, terms: Sequence[Term] = ()) -> None:
        self._terms = _Branch()
        for term in reversed(terms):  # of two for the same words the first counts
            branch = self._terms
            for i, atom in enumerate(_atoms(" ".join(term.source.split()))):
                branch = branch.longer.setdefault((atom.folded, bool(i) and atom.spaced), _Branch())
            branch.term = term
        self._terms.term = None

    def find(self, text: str) -> list[Found]:
        """The terms in a text, in order."""
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
        """The longest term that begins at this atom, and the atom after it."""
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
