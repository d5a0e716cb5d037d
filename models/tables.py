"""Typed reading of TOML tables into frozen dataclasses: nothing unknown, nothing missing, no wrong type.

The dataclass is the schema: a field without a default is a key that must be there. Knows nothing of models.
"""

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

TableT = TypeVar("TableT")

_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


class ManifestError(Exception):
    """A model folder is not what its manifest should say, or the manifest itself is wrong."""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file = file
        self.problem = problem


def read_table(kind: type[TableT], table: Mapping[str, Any], file: Path, where: str = "") -> TableT:
    """An instance of the dataclass ``kind`` with the values of ``table``.

    Raises:
        ManifestError: an unknown key, a missing key or a wrong type; the message names file and key.
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise ManifestError(file, f"unknown key '{where}{key}'; known here: {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name in table:
            values[name] = _value(hints[name], table[name], file, f"{where}{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ManifestError(file, f"key '{where}{name}' is missing")
    return kind(**values)


def _value(hint: Any, value: Any, file: Path, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):  # only ``X | None``: TOML has no null, so the value is an X
        return _value(next(a for a in arguments if a is not type(None)), value, file, key)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise ManifestError(file, f"'{key}' is {value!r}; it must be one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        return _tuple(arguments, value, file, key)
    if origin is Mapping:
        _expect(dict, value, file, key)
        return {k: _value(arguments[1], v, file, f"{key}.{k}") for k, v in value.items()}
    if is_dataclass(hint):
        _expect(dict, value, file, key)
        return read_table(hint, value, file, f"{key}.")  # type: ignore[arg-type]
    if hint is float and type(value) is int:
        return float(value)
    _expect(hint, value, file, key)
    if hint is float and not math.isfinite(value):
        raise ManifestError(file, f"'{key}' is {value}; it must be a finite number")
    return value


def _tuple(arguments: tuple[Any, ...], value: Any, file: Path, key: str) -> tuple[Any, ...]:
    _expect(list, value, file, key)
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(value) != len(arguments):
        raise ManifestError(file, f"'{key}' has {len(value)} entries; it must have {len(arguments)}")
    return tuple(_value(hint, v, file, f"{key}[{i}]") for i, (hint, v) in enumerate(zip(arguments, value, strict=True)))


def _expect(kind: type, value: Any, file: Path, key: str) -> None:
    if type(value) is not kind:  # exactly: a bool is an int to isinstance
        raise ManifestError(file, f"'{key}' is {value!r}; it must be {_NAMES.get(kind, kind.__name__)}")
