"""Typed reading of TOML tables into frozen dataclasses: nothing unknown, nothing missing, no wrong type.

The dataclass is the schema, and pydantic reads by it: a table must have a key for each field without a default. This
module knows nothing of models.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from pydantic import ConfigDict, ValidationError

TableT = TypeVar("TableT", bound="Table")


class ManifestError(Exception):
    """A model folder differs from its manifest, or the manifest itself is wrong."""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file = file
        self.problem = problem


class Table:
    """The base of every dataclass that `read_table` reads."""

    __slots__ = ()
    __pydantic_config__: ClassVar["ConfigDict"] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


def read_table(kind: type[TableT], table: Mapping[str, Any], file: Path) -> TableT:
    """An instance of the dataclass ``kind`` with the values of ``table``.

    Raises:
        ManifestError: an unknown key, a missing key or a wrong type; the message names file and key.
    """
    # Engine processes import this module only for its error; pydantic would take 15 MB in each of them.
    from pydantic import TypeAdapter, ValidationError

    try:
        # JSON, since pydantic's strict mode accepts no Python list for a tuple. A TOML date becomes a string.
        return TypeAdapter(kind).validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise ManifestError(file, _sentence(error, kind)) from error


def _sentence(error: "ValidationError", kind: type) -> str:
    """The first problem, with its key as a manifest writes it."""
    problem = error.errors(include_url=False)[0]
    key = _key(problem["loc"])
    if problem["type"] == "unexpected_keyword_argument":
        known = getattr(kind, "__dataclass_fields__", {}) if len(problem["loc"]) == 1 else {}
        return f"unknown key '{key}'" + (f"; known here: {', '.join(known)}" if known else "")
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    return f"'{key}' is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _key(place: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
