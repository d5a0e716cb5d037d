"""A hub repository's files in a folder, as they were downloaded: its configurations, its licence, where it is from."""

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
    """The folder holds no model as a hub does."""


@dataclass(frozen=True)
class Source:
    """A repository on disk. Nothing in it is ever executed; pickled weights are read as tables of tensors."""

    folder: Path
    repository: str
    """Its id on the hub, or the name of a folder that did not come from one."""
    revision: str | None = None
    """The commit that was downloaded; None for a folder that did not come from a hub."""
    config: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts of files that the folder has not, by name: what a GGUF says in their place."""
    weights: tuple[Path, ...] = ()
    """The GGUF, in one file or several, that has the weights; none: the folder has them as a hub keeps them."""

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
        """``generation_config.json``, or nothing."""
        return self.json("generation_config.json")

    @cached_property
    def tokenizer_config(self) -> Mapping[str, Any]:
        """``tokenizer_config.json``, or nothing."""
        return self.json("tokenizer_config.json")

    @cached_property
    def license(self) -> str:
        """The licence that the repository's README names, as it names it; ``unknown`` when it names none."""
        named: dict[str, str] = {}
        for line in self.front_matter.splitlines():
            key, colon, value = line.partition(":")
            if colon and key in ("license", "license_name"):
                named[key] = value.strip().strip("'\"")
        found = named.get("license", "")
        return (named.get("license_name", found) if found in ("", "other") else found) or "unknown"

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that the repository's README lists, as it writes them."""
        match = _LANGUAGES.search(self.front_matter)
        return tuple(_CODE.findall(match[1])) if match else ()

    @cached_property
    def front_matter(self) -> str:
        """What the repository's README says of itself for machines: YAML; empty where it says nothing."""
        match = _FRONT_MATTER.match(self.text("README.md"))
        return match[1] if match else ""

    def path(self, name: str) -> Path:
        """Where a file of the repository lies, if it is there."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether the repository has this file."""
        return name in self.files or (not self.weights and (self.folder / name).is_file())

    def text(self, name: str) -> str:
        """A file's text; empty when there is no such file.

        Raises:
            SourceError: it cannot be read.
        """
        if name in self.files:
            return self.files[name]
        try:
            return self.path(name).read_text("utf-8", "replace") if self.has(name) else ""
        except OSError as error:
            raise SourceError(f"{self.path(name)} cannot be read: {error}") from error

    def json(self, name: str) -> Mapping[str, Any]:
        """A JSON file's object; nothing when there is no such file.

        Raises:
            SourceError: it is no JSON object.
        """
        if name in self.files:
            return object_of(self.files[name], name)
        return read_object(self.folder / name) if self.has(name) else {}


def read_source(folder: Path, repository: str = "", revision: str | None = None) -> Source:
    """The repository in a folder.

    Raises:
        SourceError: there is no ``config.json``, or it is no JSON object.
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
    """The object that a JSON text is.

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
