"""Writes ``model.toml``, the counterpart of `models.registry.read_card`. Knows a manifest's form, not its contents."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import tomli_w

from models.cards import Manifest
from models.registry import MANIFEST, sha256_of_file


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below the folder except the manifest, by relative name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            found[name] = sha256_of_file(path)
    return found


def write_manifest(folder: Path, manifest: Manifest | Mapping[str, Any]) -> None:
    """Write the manifest of a folder.

    Args:
        folder: the model's folder.
        manifest: a manifest, or its tables by name. The writer leaves out values that equal the field's default.
    """
    table = manifest if isinstance(manifest, Mapping) else _table(manifest)
    (folder / MANIFEST).write_text(tomli_w.dumps(table), encoding="utf-8")


def _table(table: Any) -> dict[str, Any]:
    """A dataclass as a table of TOML."""
    found = {}
    for field in fields(table):
        value = getattr(table, field.name)
        if value is None or value == field.default or (field.default_factory is dict and not value):
            continue
        found[field.name] = _value(value)
    return found


def _value(value: Any) -> Any:
    if is_dataclass(value):
        return _table(value)
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value] if isinstance(value, tuple | list) else value
