"""The interface of a tensor in a file, and transformations of tensors that read no data."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.convert.source import SourceError

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.int8]

MOST_ELEMENTS = 1 << 34
"""The most values of one tensor. A larger number means damage; the limit keeps every product of sizes below 64 bits."""
MOST_DIMENSIONS = 4


class BadWeights(SourceError):
    """A file of weights is damaged, cut off, or of an unsupported kind; the message says which."""


class Tensor(Protocol):
    """A tensor in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, the outermost first."""

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the outermost dimension's places from ``begin`` to ``end``, in an array that the caller may
        change.

        Raises:
            BadWeights: the file ends before them.
        """


@runtime_checkable
class Quantized(Tensor, Protocol):
    """A matrix that a file holds in int8, with a scale for each row; the converter copies such rows unchanged."""

    def quantized_rows(self, begin: int, end: int) -> tuple[Bytes, Floats]:
        """The rows from ``begin`` to ``end`` in int8, and the multiplier of each row.

        Raises:
            BadWeights: the file ends before them.
        """


Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as a file holds it: a run of bytes."""

    file: "WeightFile"
    offset: int
    row_bytes: int
    shape: tuple[int, ...]
    decode: Callable[[bytes], Floats]
    """Turns the bytes of whole rows into numbers, in one dimension; the array may be read-only."""

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        raw = self.file.read(self.offset + begin * self.row_bytes, (end - begin) * self.row_bytes)
        numbers = self.decode(raw)
        shaped = numbers.reshape(end - begin, *self.shape[1:])
        return shaped if shaped.flags.writeable else shaped.copy()


@dataclass(frozen=True, slots=True)
class Computed:
    """A tensor that is computed, or held in memory."""

    shape: tuple[int, ...]
    make: Callable[[int, int], Floats]
    """Returns the rows from the first place to the place before the second."""

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return np.array(self.make(begin, end), np.float32)


@dataclass(frozen=True, slots=True)
class Joined:
    """Tensors of one width, stacked by rows."""

    parts: tuple[Tensor, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, the outermost first."""
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        found, at = [], 0
        for part in self.parts:
            first, last = max(begin - at, 0), min(end - at, part.shape[0])
            if first < last:
                found.append(part.rows(first, last))
            at += part.shape[0]
        return found[0] if len(found) == 1 else np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Picked:
    """Some rows of a tensor, in an order of their own."""

    of: Tensor
    order: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, the outermost first."""
        return (len(self.order), *self.of.shape[1:])

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        wanted = self.order[begin:end]
        first = int(wanted.min())
        read = self.of.rows(first, int(wanted.max()) + 1)
        return np.asarray(read[wanted - first], np.float32)


@dataclass(frozen=True, slots=True)
class Changed:
    """A tensor with a function applied to every number, the same for all rows or by the row's place."""

    of: Tensor
    change: Callable[[Floats, slice], Floats]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, the outermost first."""
        return self.of.shape

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return np.asarray(self.change(self.of.rows(begin, end), slice(begin, end)), np.float32)


@dataclass(frozen=True, slots=True)
class Transposed:
    """A transposed matrix. Every access reads the whole matrix."""

    of: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, the outermost first."""
        return (self.of.shape[1], self.of.shape[0])

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return np.ascontiguousarray(whole(self.of)[:, begin:end].T)


def whole(tensor: Tensor) -> Floats:
    """All of a tensor's numbers."""
    return tensor.rows(0, tensor.shape[0])


def scaled(tensor: Tensor, factor: float | Floats) -> Tensor:
    """A tensor times one number, or each of its rows times a number of its own."""

    def change(rows: Floats, where: slice) -> Floats:
        if isinstance(factor, float):
            return rows * np.float32(factor)
        return rows * factor[where].reshape(-1, *[1] * (rows.ndim - 1))

    return tensor if isinstance(factor, float) and factor == 1 else Changed(tensor, change)


def part(tensor: Tensor, begin: int, end: int) -> Tensor:
    """Some of a tensor's rows."""
    return Picked(tensor, np.arange(begin, end))


class WeightFile:
    """A file of weights; it checks every read against the file's size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDONLY)
        self.size_bytes = os.fstat(self._handle).st_size

    def read(self, offset: int, length_bytes: int) -> bytes:
        """The bytes of a range.

        Raises:
            BadWeights: the file ends before.
        """
        if offset < 0 or length_bytes < 0 or offset + length_bytes > self.size_bytes:
            raise BadWeights(f"{self.path.name} is cut off: it has {self.size_bytes} bytes.")
        parts = []
        while length_bytes:
            read = os.pread(self._handle, min(length_bytes, 1 << 30), offset)
            if not read:
                raise BadWeights(f"{self.path.name} is cut off: it has {self.size_bytes} bytes.")
            parts.append(read)
            offset, length_bytes = offset + len(read), length_bytes - len(read)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file; later reads fail."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def elements_of(name: str, shape: Sequence[int]) -> int:
    """The number of values in a shape.

    Raises:
        BadWeights: no model has such a shape.
    """
    count = math.prod(shape)
    if len(shape) > MOST_DIMENSIONS or not all(0 < size <= MOST_ELEMENTS for size in shape) or count > MOST_ELEMENTS:
        raise BadWeights(f"The tensor {name[:80]!r} has the shape {tuple(shape)[:8]}, which is none of a model's.")
    return count


def float_decoder(kind: str) -> Callable[[bytes], Floats]:
    """The decoder of a float type, ``F64``, ``F32``, ``F16`` or ``BF16``, little endian."""

    def bfloat16(raw: bytes) -> Floats:
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)

    types = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
    return bfloat16 if kind == "BF16" else lambda raw: np.frombuffer(raw, types[kind]).astype(np.float32)


FLOAT_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
