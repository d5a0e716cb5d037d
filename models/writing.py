"""Writes ``model.toml``: the counterpart of `models.tables.read_table` and of `models.registry.damaged`.

Knows the form of a manifest, not what is in it.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from models.cards import Manifest
from models.registry import MANIFEST, sha256_of_file


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below the folder but the manifest, by relative name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            found[name] = sha256_of_file(path)
    return found


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it. Values that are the field's default are left out."""
    (folder / MANIFEST).write_text("\n".join(_lines(manifest, "")).lstrip() + "\n", encoding="utf-8")


def _lines(table: Any, title: str) -> list[str]:
    """A dataclass as TOML: first its own values, then its tables, since those end what comes before."""
    values, tables = [], []
    for field in fields(table):
        value = getattr(table, field.name)
        if value is None or value == field.default or (field.default_factory is dict and not value):
            continue
        name = f"{title}{field.name}"
        if is_dataclass(value):
            tables += ["", f"[{name}]", *_lines(value, f"{name}.")]
        elif isinstance(value, Mapping):
            tables += ["", f"[{name}]", *(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items())]
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            for item in value:
                tables += ["", f"[[{name}]]", *_lines(item, f"{name}.")]
        else:
            values.append(f"{field.name} = {toml_value(value)}")
    return values + tables


def toml_value(value: Any) -> str:
    """A TOML value; JSON writes strings, numbers, booleans and lists the same way."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
