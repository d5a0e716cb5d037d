"""A hub repository's downloaded files in a folder: its configurations, its licence, its origin."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)
_CODE = re.compile(r"[A-Za-z]{2,}(?:[_-][A-Za-z]+)*")
_LANGUAGES = re.compile(r"^language:(.*(?:\n[ \t]*- .*)*)", re.MULTILINE)


class SourceError(Exception):
    """The folder does not hold a model in a hub's form."""


@dataclass(frozen=True)
class Source:
    """A repository on disk. Hearth executes none of its files and reads pickled weights as tables of tensors."""

    folder: Path
    repository: str
    """The repository's id on the hub, or the name of a folder that did not come from a hub."""
    revision: str | None = None
    """The commit that was downloaded; None for a folder that did not come from a hub."""
    config: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts of files that the folder lacks, by name, made from a GGUF."""
    weights: tuple[Path, ...] = ()
    """The files of the GGUF that has the weights; empty: the folder has them in a hub's form."""

    @property
    def architecture(self) -> str:
        """The class that the configuration names first, such as ``LlamaForCausalLM``; empty when it names none."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""

    @property
    def model_type(self) -> str:
        """The configuration's ``model_type``, such as ``llama``."""
        return str(self.config.get("model_type") or "")

    @cached_property
    def generation_config(self) -> Mapping[str, Any]:
        """``generation_config.json``; empty if the file is missing."""
        return self.json("generation_config.json")

    @cached_property
    def tokenizer_config(self) -> Mapping[str, Any]:
        """``tokenizer_config.json``; empty if the file is missing."""
        return self.json("tokenizer_config.json")

    @cached_property
    def license(self) -> str:
        """The licence in the repository's README, word for word; ``unknown`` if it names none."""
        named: dict[str, str] = {}
        for line in self.front_matter.splitlines():
            key, colon, value = line.partition(":")
            if colon and key in ("license", "license_name"):
                named[key] = value.strip().strip("'\"")
        found = named.get("license", "")
        return (named.get("license_name", found) if found in ("", "other") else found) or "unknown"

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages in the repository's README, as it writes them."""
        match = _LANGUAGES.search(self.front_matter)
        return tuple(_CODE.findall(match[1])) if match else ()

    @cached_property
    def front_matter(self) -> str:
        """The YAML metadata of the repository's README; empty if it has none."""
        match = _FRONT_MATTER.match(self.text("README.md"))
        return match[1] if match else ""

    def path(self, name: str) -> Path:
        """The path of a file of the repository, which may be missing."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Tells whether the repository has this file."""
        return name in self.files or (not self.weights and (self.folder / name).is_file())

    def text(self, name: str) -> str:
        """A file's text; empty if the file is missing.

        Raises:
            SourceError: the file cannot be read.
        """
        if name in self.files:
            return self.files[name]
        try:
            return self.path(name).read_text("utf-8", "replace") if self.has(name) else ""
        except OSError as error:
            raise SourceError(f"{self.path(name)} cannot be read: {error}") from error

    def json(self, name: str) -> Mapping[str, Any]:
        """A JSON file's object; empty if the file is missing.

        Raises:
            SourceError: the file is not a JSON object.
        """
        if name in self.files:
            return object_of(self.files[name], name)
        return read_object(self.folder / name) if self.has(name) else {}


def read_source(folder: Path, repository: str = "", revision: str | None = None) -> Source:
    """The repository in a folder.

    Raises:
        SourceError: ``config.json`` is missing or not a JSON object.
    """
    if not (folder / "config.json").is_file():
        raise SourceError(f"{folder} has no config.json: it is no model as a hub keeps it.")
    return Source(folder, repository or folder.resolve().name, revision, read_object(folder / "config.json"))


def read_object(file: Path) -> Mapping[str, Any]:
    """The object of a JSON file.

    Raises:
        SourceError: it is none.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    return object_of(text, str(file))


def object_of(text: str, name: str) -> Mapping[str, Any]:
    """The object in a JSON text.

    Raises:
        SourceError: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SourceError(f"{name} is no JSON object.")
    return found
