"""Reads CTranslate2's ``model.bin``: name, shape, type and numbers of each variable, then aliases."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.convert.tensors.base import (
    BadWeights,
    Floats,
    Stored,
    Tensor,
    WeightFile,
    elements_of,
    float_decoder,
    whole,
)

BINARY_VERSIONS = range(4, 7)
"""The versions with this layout (src/models/model.cc of CTranslate2); older ones are from before 2020."""
MOST_VARIABLES = 1 << 17
_TYPES = ("<f4", "i1", "<i2", "<i4", "<f2", "<u2")
"""The types by the file's number; the last is bfloat16."""
_FLOATS = {0: "F32", 4: "F16", 5: "BF16"}
_INT8 = 1
_SCALE = "_scale"


@dataclass(frozen=True, slots=True)
class Quantized:
    """A matrix of int8 with the multiplier of each row."""

    of: Stored
    scale: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, the outermost first."""
        return self.of.shape

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return np.asarray(self.of.rows(begin, end) / self.scale[begin:end, None], np.float32)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The contents of the file."""

    specification: str
    revision: int
    scalars: Mapping[str, Any]
    """Numpy scalars of the file's own types."""
    tensors: Mapping[str, Tensor]
    """All float variables, including aliases."""


def read_model_file(file: WeightFile) -> ModelFile:
    """The whole header of a file.

    Raises:
        BadWeights: the file is not a ``model.bin``, has another version, is cut off, or packs matrices in another way.
    """
    return _Reader(file).read()


class _Reader:
    def __init__(self, file: WeightFile) -> None:
        self._file = file
        self._name = file.path.name
        self._at = 0

    def read(self) -> ModelFile:
        (version,) = self._numbers("I")
        if version not in BINARY_VERSIONS:
            first, last = BINARY_VERSIONS[0], BINARY_VERSIONS[-1]
            raise BadWeights(f"{self._name} is of CTranslate2's version {version}; read here: {first} to {last}.")
        specification = self._string()
        revision, count = self._numbers("II")
        if count > MOST_VARIABLES:
            raise BadWeights(f"{self._name} is damaged: it would have {count} variables.")
        scalars: dict[str, Any] = {}
        stored: dict[str, tuple[int, Stored]] = {}
        for _ in range(count):
            name = self._string()
            if name in scalars or name in stored:
                raise BadWeights(f"{self._name}: the variable {name[:80]!r} is there twice.")
            self._variable(name, scalars, stored)
        tensors = self._floats(stored)
        (aliases,) = self._numbers("I")
        for _ in range(min(aliases, MOST_VARIABLES)):
            alias, other = self._string(), self._string()
            if other in tensors:
                tensors[alias] = tensors[other]
        return ModelFile(specification, revision, scalars, tensors)

    def _variable(self, name: str, scalars: dict[str, Any], stored: dict[str, tuple[int, Stored]]) -> None:
        (rank,) = self._numbers("B")
        shape = self._numbers(f"{rank}I")
        kind, length = self._numbers("BI")
        if kind >= len(_TYPES):
            raise BadWeights(f"{self._name}: the variable {name[:80]!r} is of the unknown type {kind}.")
        size = np.dtype(_TYPES[kind]).itemsize
        count = elements_of(name, shape) if shape else 1
        if length != count * size or self._at + length > self._file.size_bytes:
            raise BadWeights(f"{self._name} is damaged or cut off: the variable {name[:80]!r} does not fit.")
        if not shape:
            scalars[name] = np.frombuffer(self._file.read(self._at, length), _TYPES[kind])[0]
        else:
            decode = float_decoder(_FLOATS[kind]) if kind in _FLOATS else _as_floats(_TYPES[kind])
            row = math.prod(shape[1:]) * size
            stored[name] = (kind, Stored(self._file, self._at, row, shape, decode))
        self._at += length

    def _floats(self, stored: Mapping[str, tuple[int, Stored]]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, (kind, tensor) in stored.items():
            if name.endswith(_SCALE) and name.removesuffix(_SCALE) in stored:
                continue
            if kind in _FLOATS:
                found[name] = tensor
                continue
            scale = stored.get(f"{name}{_SCALE}")
            if kind != _INT8 or scale is None or scale[1].shape != tensor.shape[:1] or len(tensor.shape) != 2:
                raise BadWeights(f"{self._name}: {name[:80]!r} is quantized in a way that is not read here.")
            found[name] = Quantized(tensor, whole(scale[1]))
        return found

    def _string(self) -> str:
        (length,) = self._numbers("H")
        raw = self._file.read(self._at, length)
        self._at += length
        return raw.rstrip(b"\0").decode("utf-8", "replace")

    def _numbers(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize(f"<{form}")
        raw = self._file.read(self._at, size)
        self._at += size
        return struct.unpack(f"<{form}", raw)


def _as_floats(kind: str) -> Any:
    return lambda raw: np.frombuffer(raw, kind).astype(np.float32)
