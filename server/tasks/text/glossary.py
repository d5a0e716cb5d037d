"""Fixed translations of terms: which of them a sentence has, and where. Knows no languages: words match as they are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


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


class Glossary:
    """Terms, looked for as whole words in any case, the longest first."""

    def __init__(self, terms: Sequence[Term] = ()) -> None:
        self._targets = {_key(term.source): term for term in reversed(terms)}
        longest_first = sorted(self._targets, key=len, reverse=True)
        patterns = (r"\s+".join(map(re.escape, key.split(" "))) for key in longest_first if key)
        joined = "|".join(patterns)
        self._pattern = re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE) if joined else None

    def find(self, text: str) -> list[Found]:
        """The terms in a text, in order."""
        if self._pattern is None:
            return []
        found = []
        for match in self._pattern.finditer(text):
            term = self._targets.get(_key(match[0]))
            if term is not None:
                stays = term.source == term.target
                found.append(Found(*match.span(), match[0] if stays else term.target, stays))
        return found


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()
