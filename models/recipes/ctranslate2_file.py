"""Read the weights back out of a CTranslate2 `model.bin`, as float32.

The engine only loads such a file; a recipe that warm-starts from a shipped model needs the
numbers. int8 rows are divided by their scale, so a value is off by at most half a step of 1/127
of its row's largest. Knows the container, not what any variable means.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

BINARY_VERSION = 6
# The file's type numbers are indices into this list; bfloat16 has no numpy type and is widened by hand.
TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")


def read_ctranslate2_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every variable by name, scales applied and left out, aliases resolved."""
    with path.open("rb") as file:
        (version,) = _numbers(file, "I")
        if version != BINARY_VERSION:
            raise ValueError(f"{path}: binary version {version}, this code reads {BINARY_VERSION}")
        _string(file)
        _numbers(file, "I")
        stored = dict(_variable(file) for _ in range(_numbers(file, "I")[0]))
        aliases = [(_string(file), _string(file)) for _ in range(_numbers(file, "I")[0])]
    weights: dict[str, NDArray[np.float32]] = {}
    for name, value in stored.items():
        if name.endswith("_scale") and name.removesuffix("_scale") in stored:
            continue
        scale = stored.get(f"{name}_scale")
        weights[name] = value.astype(np.float32)
        if scale is not None:
            weights[name] /= scale.reshape(-1, *[1] * (value.ndim - 1))
    for alias, name in aliases:
        if name in weights:
            weights[alias] = weights[name]
    return weights


def _numbers(file: BinaryIO, code: str) -> tuple[int, ...]:
    """Little endian without padding, as written on every machine the engine supports."""
    return struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))


def _string(file: BinaryIO) -> str:
    (length,) = _numbers(file, "H")
    return file.read(length)[:-1].decode("utf-8")


def _variable(file: BinaryIO) -> tuple[str, NDArray[np.generic]]:
    name = _string(file)
    (rank,) = _numbers(file, "B")
    shape = _numbers(file, f"{rank}I") if rank else ()
    kind, length_bytes = _numbers(file, "BI")
    raw = file.read(length_bytes)
    if TYPES[kind] == "bfloat16":
        wide = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
        return name, wide.view(np.float32).reshape(shape)
    return name, np.frombuffer(raw, TYPES[kind]).reshape(shape)
