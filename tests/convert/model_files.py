"""Reads ``model.bin`` without conversion: every variable and every alias."""

import struct
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = ("f4", "i1", "i2", "i4", "f2")


def read_variables(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The variables by name, and the aliases."""
    data, at = file.read_bytes(), 0

    def numbers(form: str) -> tuple[Any, ...]:
        nonlocal at
        found = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return found

    def string() -> str:
        nonlocal at
        (length,) = numbers("H")
        at += length
        return data[at - length : at - 1].decode()

    numbers("I"), string(), numbers("I")
    variables: dict[str, Any] = {}
    for _ in range(numbers("I")[0]):
        name = string()
        shape = numbers(f"{numbers('B')[0]}I")
        kind, length = numbers("BI")
        variables[name] = np.frombuffer(data[at : at + length], _TYPES[kind]).reshape(shape)
        at += length
    aliases = {}
    for _ in range(numbers("I")[0]):
        alias = string()
        aliases[alias] = string()
    assert at == len(data)
    return variables, aliases
