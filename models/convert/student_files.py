"""Finds the files of a Firefox student in a folder, and its direction."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from models.convert.languages import code_of
from models.convert.source import Source, SourceError, read_object

ARCHITECTURE = "MarianStudent"
"""The value of `Source.architecture` for a student; the files themselves name no class."""
LICENSE = "MPL-2.0"
_WEIGHTS = re.compile(r"model\.(?:.*\.)?intgemm\.alphas\.bin|model\..*intgemm.*\.bin")
_VOCABULARY, *_HALVES = (re.compile(rf"{side}vocab\.(?:.*\.)?spm") for side in ("", "src", "trg"))
_SHORTLIST = re.compile(r"lex\.(?:.*\.)?bin")
_DIRECTION = re.compile(r"model\.([a-z]{2,3})-?([a-z]{2,3})\.")
_METADATA = "metadata.json"


@dataclass(frozen=True, slots=True)
class StudentFiles:
    """The files of one direction."""

    weights: Path
    vocabularies: tuple[Path, ...]
    """One vocabulary for both languages, or the source's and the target's."""
    shortlist: Path | None
    source: str
    target: str
    """The codes of the two languages."""


def is_student(names: Collection[str]) -> bool:
    """Tells whether a folder with these files holds a student."""
    return any(_WEIGHTS.fullmatch(name) for name in names)


def source_of_student(
    folder: Path, repository: str = "", revision: str | None = None, pair: tuple[str, str] | None = None
) -> Source:
    """A folder with a student's files.

    Args:
        folder: the folder of the files.
        repository: the model's name; empty: named by its direction.
        revision: the version, if it is known.
        pair: the languages, if they are known; None: those in the files.

    Raises:
        SourceError: a file is missing, or a kind has several files.
    """
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    weights = _only(folder, names, _WEIGHTS, "weights (model.….intgemm.alphas.bin)")
    is_split = any(pattern.fullmatch(name) for name in names for pattern in _HALVES)
    if is_split and any(_VOCABULARY.fullmatch(name) for name in names):
        raise SourceError(f"{folder} has a vocabulary for both languages and one for a language.")
    wanted = {"srcvocab": _HALVES[0], "trgvocab": _HALVES[1]} if is_split else {"vocab": _VOCABULARY}
    vocabularies = [_only(folder, names, pattern, f"vocabulary ({name}.….spm)") for name, pattern in wanted.items()]
    shortlists = [name for name in names if _SHORTLIST.fullmatch(name)]
    if len(shortlists) > 1:
        raise SourceError(f"{folder} has several shortlists: {', '.join(shortlists[:9])}.")
    source, target = pair or _direction(folder, weights)
    facts = {
        "architectures": [ARCHITECTURE],
        "weights": weights,
        "vocabularies": vocabularies,
        "shortlists": shortlists,
        "languages": [source, target],
    }
    readme = {} if (folder / "README.md").is_file() else {"README.md": f"---\nlicense: {LICENSE}\n---\n"}
    return Source(folder, repository or f"firefox-{source}-{target}", revision, facts, readme)


def student_files(source: Source) -> StudentFiles:
    """The files of a source from `source_of_student`."""
    facts = source.config
    return StudentFiles(
        source.path(facts["weights"]),
        tuple(map(source.path, facts["vocabularies"])),
        source.path(facts["shortlists"][0]) if facts["shortlists"] else None,
        *facts["languages"],
    )


def _only(folder: Path, names: list[str], pattern: re.Pattern[str], what: str) -> str:
    found = [name for name in names if pattern.fullmatch(name)]
    if len(found) != 1:
        raise SourceError(
            f"{folder} has {'several files of' if found else 'no'} {what} of a Firefox translator"
            f"{': ' + ', '.join(found[:9]) if found else ''}."
        )
    return found[0]


def _direction(folder: Path, weights: str) -> tuple[str, str]:
    """The two languages, from the metadata or the name of the weights.

    Raises:
        SourceError: neither states the languages.
    """
    stated = read_object(folder / _METADATA) if (folder / _METADATA).is_file() else {}
    pair = stated.get("sourceLanguage"), stated.get("targetLanguage")
    match = _DIRECTION.match(weights)
    if not all(isinstance(name, str) for name in pair):
        pair = (match[1], match[2]) if match else (None, None)
        joined = "".join(match.groups()) if match else ""
        if len(joined) == 5 and (joined.startswith("en") or joined.endswith("en")):  # every pair includes English
            pair = (joined[:2], joined[2:]) if joined.startswith("en") else (joined[:3], joined[3:])
    known = [code_of(str(name)) for name in pair]
    if len(known) != 2 or None in known or known[0] == known[1]:
        raise SourceError(f"{folder} does not say which languages it translates: {weights} names no two of them.")
    return str(known[0]), str(known[1])
