"""Model folders on disk: reads and checks manifests, verifies files, finds all models.

A folder with a ``model.toml`` is a model; no other registration exists. This module loads no weights and knows no
engine.
"""

import hashlib
import importlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path, PurePosixPath
from types import ModuleType

from models.cards import SAMPLING, EmbeddingSpec, GenerationSpec, HeadSpec, Manifest, ModelCard, TranslationSpec
from models.tables import ManifestError, read_table

__all__ = [
    "MANIFEST",
    "WEIGHTS",
    "HeadSpec",
    "ManifestError",
    "ModelCard",
    "damaged",
    "find_models",
    "load_family",
    "model_files",
    "read_card",
    "verify",
]

MANIFEST = "model.toml"
WEIGHTS = "model.bin"

HEADED = ("classification", "rerank")
"""The tasks of models with heads."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
_FAMILY = re.compile(r"[a-z][a-z0-9-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_card(folder: Path) -> ModelCard:
    """The checked manifest of one model folder. Reads the manifest only; `verify` checks the files.

    Raises:
        ManifestError: the manifest is missing or wrong; the message names the file and the key.
    """
    file = folder / MANIFEST
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(file, f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ManifestError(file, f"is not TOML: {error}") from error
    manifest = read_table(Manifest, table, file)
    for problem in _problems(manifest, folder):
        raise ManifestError(file, problem)
    return ModelCard(**{field.name: getattr(manifest, field.name) for field in fields(manifest)}, folder=folder)


def verify(card: ModelCard, *, weights: bool = True) -> None:
    """Check that the folder holds exactly the files listed, each with its SHA-256.

    Args:
        card: the model's card.
        weights: check the weights too; otherwise the loader of the weights has to check them.

    Raises:
        ManifestError: names every file that is missing, not listed, or differs.
    """
    present = set(_files(card.folder))
    problems = [f"'{name}' is missing" for name in sorted(card.files.keys() - present)]
    problems += [f"'{name}' is not listed in [files]" for name in sorted(present - card.files.keys() - {MANIFEST})]
    wanted = {name: card.files[name] for name in card.files.keys() & present if weights or name != WEIGHTS}
    problems += damaged(card.folder, wanted)
    if problems:
        raise ManifestError(card.folder / MANIFEST, "; ".join(problems))


def sha256_of_file(path: Path) -> str:
    """The checksum as a manifest writes it.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(folder: Path, files: Mapping[str, str]) -> list[str]:
    """A sentence for each file that differs from its SHA-256 in this table, in order of name."""
    problems = []
    for name in sorted(files):
        try:
            digest = sha256_of_file(folder / name)
        except OSError as error:
            problems.append(f"'{name}' cannot be read: {error.strerror}")
            continue
        if digest != files[name]:
            problems.append(f"'{name}' is damaged: its SHA-256 differs from the manifest's")
    return problems


def model_files(roots: Sequence[Path]) -> list[Path]:
    """The manifests directly below the roots: those of the first root first, each root's in order of their folders."""
    return [file for root in roots for file in sorted(root.glob(f"*/{MANIFEST}"))]


def find_models(*roots: Path) -> list[ModelCard]:
    """Every model directly below the roots, sorted by id. Folders without a manifest are not models.

    A model of an earlier root takes the place of one of a later root that has the same id.

    Raises:
        ManifestError: a manifest is wrong, or two folders of one root claim one id.
    """
    cards: dict[str, ModelCard] = {}
    for file in model_files(roots):
        card = read_card(file.parent)
        other = cards.setdefault(card.id, card)
        if other is not card and other.folder.parent == file.parent.parent:
            raise ManifestError(file, f"id '{card.id}' is already taken by {other.folder}")
    return [cards[name] for name in sorted(cards)]


def load_family(card: ModelCard) -> ModuleType:
    """The module that formats rows and prompts for this model's family.

    Raises:
        ManifestError: the family is unknown.
    """
    # Older manifests name the form of tool calls here, as `hub-hermes`; now the template states it.
    family = "hub" if card.family.startswith("hub-") else card.family
    name = f"models.families.{family.replace('-', '_')}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ManifestError(card.folder / MANIFEST, f"there is no family '{card.family}'") from error


def _files(folder: Path) -> Iterator[str]:
    """Relative names of all files; a linked folder counts as a file, so that it is refused as not listed."""
    for path, folders, names in os.walk(folder):
        for name in names + [f for f in folders if (Path(path) / f).is_symlink()]:
            yield (Path(path) / name).relative_to(folder).as_posix()


def _problems(card: Manifest, folder: Path) -> Iterator[str]:
    if not _ID.fullmatch(card.id):
        yield f"'id' is {card.id!r}; it must be letters, digits, '.', '_', '-', with at most one '/'"
    if not _FAMILY.fullmatch(card.family):
        yield f"'family' is {card.family!r}; it must be lower case letters, digits and '-'"
    for key in ("created", "context_length_tokens", "parameters"):
        if getattr(card, key) <= 0:
            yield f"'{key}' is {getattr(card, key)}; it must be above 0"
    for alias in card.aliases:
        if not _ALIAS.fullmatch(alias) or alias == card.id:
            yield f"'aliases' has {alias!r}; an alias is another name, of letters, digits, '.', '_', ':', '/', '-'"
    yield from _file_problems(card, folder)
    for section in ("generation", "translation", "embedding", "entities"):
        wanted = card.task == section or (section == "generation" and card.judge is not None)
        if (getattr(card, section) is not None) != wanted:
            yield f"section '{section}' must be there for task '{section}' and for no other; the task is '{card.task}'"
    if card.judge is not None and card.task != "rerank":
        yield f"section 'judge' is for task 'rerank' only; the task is '{card.task}'"
    if bool(card.heads) != (card.task in HEADED and card.judge is None):
        yield f"[[heads]] must be there for the tasks {', '.join(HEADED)} and for no other; the task is '{card.task}'"
    if (
        card.task == "rerank"
        and card.judge is None
        and [(len(head.labels), head.kind) for head in card.heads] != [(1, "sigmoid")]
    ):
        yield "[[heads]] must be one sigmoid head with one label for task 'rerank'"
    if card.generation is not None:
        yield from _generation_problems(card.generation)
    if card.translation is not None:
        yield from _translation_problems(card.translation)
    if card.embedding is not None:
        yield from _embedding_problems(card.embedding)
    names = [head.name for head in card.heads]
    if len(set(names)) != len(names):
        yield "two heads have one name"
    for i, head in enumerate(card.heads):
        yield from _head_problems(head, f"heads[{i}]")


def _file_problems(card: Manifest, folder: Path) -> Iterator[str]:
    for name, digest in card.files.items():
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or str(path) != name:
            yield f"file name {name!r} in [files] must be a plain path inside the folder"
        elif not (folder / name).resolve().is_relative_to(folder.resolve()):
            yield f"file '{name}' is a link out of the folder"
        if name == MANIFEST:
            yield f"[files] lists '{MANIFEST}' itself"
        if not _SHA256.fullmatch(digest):
            yield f"'files.{name}' must be a SHA-256 in lower case hexadecimal"
    wanted = {WEIGHTS: "every model", "config.json": "every model", card.tokenizer.file: "tokenizer.file"}
    if card.generation is not None and card.generation.template is not None:
        wanted[card.generation.template] = "generation.template"
    if card.tokenizer.target_file is not None:
        wanted[card.tokenizer.target_file] = "tokenizer.target_file"
    if card.entities is not None:
        wanted[card.entities.file] = "entities.file"
        if not card.entities.tags or len(set(card.entities.tags)) != len(card.entities.tags):
            yield "'entities.tags' must be different tags, at least one"
    wanted |= {head.file: f"head '{head.name}'" for head in card.heads}
    for name, why in wanted.items():
        if name not in card.files:
            yield f"'{name}' ({why}) is not listed in [files]"


def _generation_problems(section: GenerationSpec) -> Iterator[str]:
    if not section.stop_tokens:
        yield "'generation.stop_tokens' is empty; completions would never end"
    if section.max_target_tokens is not None and section.max_target_tokens < 1:
        yield f"'generation.max_target_tokens' is {section.max_target_tokens}; it must be at least 1"
    for name, value in section.sampling.items():
        least, most = SAMPLING.get(name, (1, 0))
        if not least <= value <= most or (name == "top_p" and value == 0):
            yield f"'generation.sampling.{name}' is {value}; known there: {', '.join(SAMPLING)}, each in its range"


def _translation_problems(section: TranslationSpec) -> Iterator[str]:
    if len(section.languages) < 2:
        yield "'translation.languages' must be at least two"
    if len(set(section.languages)) != len(section.languages):
        yield "'translation.languages' names one language twice"
    for pair in section.pairs:
        if pair[0] == pair[1] or not set(pair) <= set(section.languages):
            yield f"'translation.pairs' has {list(pair)}; a pair is two different languages of 'translation.languages'"
    for code in sorted(section.codes.keys() - set(section.languages)):
        yield f"'translation.codes' names '{code}', which is not in 'translation.languages'"
    for key in ("beam_size", "max_target_tokens"):
        if getattr(section, key) < 1:
            yield f"'translation.{key}' is {getattr(section, key)}; it must be at least 1"
    if section.max_target_ratio <= 0:
        yield f"'translation.max_target_ratio' is {section.max_target_ratio}; it must be above 0"


def _embedding_problems(section: EmbeddingSpec) -> Iterator[str]:
    if section.dimensions < 1:
        yield f"'embedding.dimensions' is {section.dimensions}; it must be at least 1"


def _head_problems(head: HeadSpec, key: str) -> Iterator[str]:
    if len(head.labels) < (2 if head.kind == "softmax" else 1) or len(set(head.labels)) != len(head.labels):
        yield f"'{key}.labels' must be different labels, at least two for softmax"
    if head.temperature <= 0:
        yield f"'{key}.temperature' is {head.temperature}; it must be above 0"
    if head.thresholds and head.kind != "sigmoid":
        yield f"'{key}.thresholds' is for sigmoid heads only"
    for label, threshold in head.thresholds.items():
        if label not in head.labels or not 0 <= threshold <= 1:
            yield f"'{key}.thresholds.{label}' must be a probability of a label in '{key}.labels'"
    if len(set(head.languages)) != len(head.languages):
        yield f"'{key}.languages' names one language twice"
    for label in head.experimental:
        if label not in head.labels:
            yield f"'{key}.experimental' names '{label}', which is not in '{key}.labels'"
