"""Reads Marian's binary weights (``.bin``) of Mozilla's int8 students for Firefox.

Layout, little endian (``src/common/binary.cpp`` of marian-dev): u64 version (1), u64 count; for each item four u64:
length of its name with a final zero byte, type, number of dimensions, length of its data; then all names, all shapes
(i32 each), a u64 of padding and that many bytes, and all data. An int8 matrix (type 0x4101, intgemm's) has its
multiplier behind its bytes as a float32: a weight is its byte over the multiplier. It lies column by column, so that
its rows here are the outputs; only tables of embeddings (``Wemb``, ``encoder_Wemb``) lie row by row.
``NAME_QuantMultA`` holds a scale of activations, which an engine that measures its own does not need.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.convert.tensors.base import BadWeights, Bytes, Floats, WeightFile, elements_of

VERSION = 1
INT8, FLOAT32, CHARS = 0x4101, 0x404, 0x101
EMBEDDINGS = "Wemb"
SETTINGS = "special:model.yml"
SCALE_OF_ACTIVATIONS = "_QuantMultA"
MOST_ITEMS = 1 << 16
_ALIGNMENT = 256


@dataclass(frozen=True, slots=True)
class Int8Matrix:
    """Weights in int8 that all share one multiplier. Satisfies `Quantized`."""

    file: WeightFile
    offset: int
    shape: tuple[int, ...]
    """Outputs, inputs."""
    multiplier: float
    """The multiplier of the weights."""

    def quantized_rows(self, begin: int, end: int) -> tuple[Bytes, Floats]:
        """The rows from ``begin`` to ``end`` in int8, and their scales."""
        width = self.shape[1]
        raw = self.file.read(self.offset + begin * width, (end - begin) * width)
        return np.frombuffer(raw, np.int8).reshape(-1, width), np.full(end - begin, self.multiplier, np.float32)

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return self.quantized_rows(begin, end)[0].astype(np.float32) / np.float32(self.multiplier)


@dataclass(frozen=True, slots=True)
class Int8Joined:
    """Matrices of one width stacked by rows, each with its own multiplier. Satisfies `Quantized`."""

    parts: tuple[Int8Matrix, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, the outermost first."""
        return (sum(part.shape[0] for part in self.parts), self.parts[0].shape[1])

    def quantized_rows(self, begin: int, end: int) -> tuple[Bytes, Floats]:
        """The rows from ``begin`` to ``end`` in int8, and their scales."""
        found, at = [], 0
        for part in self.parts:
            first, last = max(begin - at, 0), min(end - at, part.shape[0])
            if first < last:
                found.append(part.quantized_rows(first, last))
            at += part.shape[0]
        return np.concatenate([rows for rows, _ in found]), np.concatenate([scales for _, scales in found])

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        rows, scales = self.quantized_rows(begin, end)
        return rows.astype(np.float32) / scales[:, None]


@dataclass(frozen=True, slots=True)
class Row:
    """A vector of floats. Satisfies `Tensor`."""

    file: WeightFile
    offset: int
    shape: tuple[int, ...]

    def rows(self, begin: int, end: int) -> Floats:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return np.frombuffer(self.file.read(self.offset + 4 * begin, 4 * (end - begin)), "<f4").astype(np.float32)


@dataclass(frozen=True, slots=True)
class Student:
    """The contents of a file."""

    matrices: Mapping[str, Int8Matrix]
    vectors: Mapping[str, Row]
    settings: str
    """Marian's own YAML of the model's options."""


def read_marian(file: WeightFile) -> Student:
    """Read the heads of all items, and check that each lies in the file.

    Raises:
        BadWeights: the file is not Marian's, states wrong sizes, is cut off, or holds weights of a kind that the
            students do not have.
    """
    name = file.path.name
    version, count = struct.unpack("<QQ", file.read(0, 16))
    if version != VERSION or not 0 < count <= MOST_ITEMS:
        raise BadWeights(f"{name} is no file of Marian's: it says version {version} and {count} items.")
    heads = list(struct.iter_unpack("<QQQQ", file.read(16, 32 * count)))
    at = 16 + 32 * count
    names, at = _names(file, heads, at)
    shapes, at = _shapes(file, heads, names, at)
    (padding,) = struct.unpack("<Q", file.read(at, 8))
    if padding > _ALIGNMENT:
        raise BadWeights(f"{name} is damaged: its padding would have {padding} bytes.")
    at += 8 + padding
    matrices: dict[str, Int8Matrix] = {}
    vectors: dict[str, Row] = {}
    settings = ""
    for (_, kind, _, length), item, shape in zip(heads, names, shapes, strict=True):
        if at + length > file.size_bytes:
            raise BadWeights(f"{name} is cut off: '{item[:80]}' does not fit.")
        if item == SETTINGS:
            settings = file.read(at, length).rstrip(b"\0").decode("utf-8", "replace")
        elif not item.endswith(SCALE_OF_ACTIVATIONS):
            _place(file, item, kind, shape, at, length, matrices, vectors)
        at += length
    if at != file.size_bytes:
        raise BadWeights(f"{name} has {file.size_bytes - at} bytes more than its items.")
    return Student(matrices, vectors, settings)


def _names(file: WeightFile, heads: list[tuple[int, ...]], at: int) -> tuple[list[str], int]:
    names: list[str] = []
    for length, *_ in heads:
        if not 1 < length <= 256:
            raise BadWeights(f"{file.path.name} is damaged: a name would have {length} bytes.")
        raw = file.read(at, length)
        text = raw[:-1].decode("utf-8", "replace")
        if raw[-1] != 0 or text in names:
            raise BadWeights(f"{file.path.name} is damaged: '{text[:80]}' is no name, or stands twice.")
        names.append(text)
        at += length
    return names, at


def _shapes(
    file: WeightFile, heads: list[tuple[int, ...]], names: list[str], at: int
) -> tuple[list[tuple[int, ...]], int]:
    shapes: list[tuple[int, ...]] = []
    for (_, _, rank, _), name in zip(heads, names, strict=True):
        if not 1 <= rank <= 4:
            raise BadWeights(f"{file.path.name} is damaged: '{name[:80]}' would have {rank} dimensions.")
        shape = struct.unpack(f"<{rank}i", file.read(at, 4 * rank))
        elements_of(name, shape)
        shapes.append(shape)
        at += 4 * rank
    return shapes, at


def _place(
    file: WeightFile,
    name: str,
    kind: int,
    shape: tuple[int, ...],
    at: int,
    length: int,
    matrices: dict[str, Int8Matrix],
    vectors: dict[str, Row],
) -> None:
    count = elements_of(name, shape)
    if kind == INT8 and len(shape) == 2 and length >= count + 4:
        (multiplier,) = struct.unpack("<f", file.read(at + count, 4))
        if not (np.isfinite(multiplier) and multiplier > 0):
            raise BadWeights(f"{file.path.name}: the multiplier of '{name[:80]}' is {multiplier}.")
        turned = shape if name.endswith(EMBEDDINGS) else (shape[1], shape[0])
        matrices[name] = Int8Matrix(file, at, turned, multiplier)
    elif kind == FLOAT32 and length >= 4 * count and count == max(shape):
        vectors[name] = Row(file, at, (count,))
    else:
        raise BadWeights(
            f"{file.path.name}: '{name[:80]}' is of type {kind:#x} with {length} bytes for the shape {shape}; students "
            "have int8 matrices (intgemm, with alphas) and float32 vectors."
        )
