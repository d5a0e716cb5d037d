"""CTranslate2's ``model.bin``, written a few rows at a time.

The form is CTranslate2's own, version 6: variables in the order of their names, then aliases. The numbers have
CTranslate2's form too: a matrix is int8 with one scale for each row, 127 over the row's largest value, or the source's
own scale if its rows are int8 already. Equal variables are written once. No tensor is ever in memory as a whole.

Matrices in four bits (`models.convert.four_bits`) are our own addition, which CTranslate2 cannot read: the variable is
int8 of shape (rows, groups, 16), beside a ``_group_scale`` of (rows, groups) in int8 and a ``_scale`` of (rows).
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from models.convert.contract import CannotConvert, Quantization
from models.convert.four_bits import GROUP, FourBits, groups_of
from models.convert.tensors.base import Bytes, Floats, Quantized, Tensor

Scalar = np.float32 | np.int8 | np.int16 | np.int32
Variables = Mapping[str, Tensor | Scalar]

BINARY_VERSION = 6
_TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3}
_CHUNK_NUMBERS = 1 << 18
"""A megabyte of floats, so that reading, scaling and rounding stay in the caches."""
_MOST_BYTES = (1 << 32) - 1
_WEIGHT, _SCALE, _GROUP_SCALE = "/weight", "_scale", "_group_scale"
FourBitMatrices = Mapping[str, Callable[[Floats], FourBits]]
"""The names of the matrices in four bits, each with the function that rounds some of its rows."""


def write_model(
    file: Path,
    name: str,
    revision: int,
    variables: Variables,
    quantization: Quantization,
    in_four_bits: FourBitMatrices | None = None,
) -> None:
    """Write a model.

    Args:
        file: the destination.
        name, revision: those of CTranslate2's specification.
        variables: the tensors by their names in the specification. Names that end in ``/weight`` are matrices, and
            quantized.
        quantization: the type of the matrices; everything else is written as float32.
        in_four_bits: the matrices that are written in four bits; the others are int8.

    Raises:
        CannotConvert: a variable is too large for the form.
        BadWeights: a tensor cannot be read.
    """
    aliases = same_variables({key: value for key, value in variables.items() if not isinstance(value, np.generic)})
    stored = {key: value for key, value in sorted(variables.items()) if key not in aliases}
    quantized = {key for key in stored if key.endswith(_WEIGHT) and quantization != "float32"}
    # glibc returns freed blocks above an adaptive size to the kernel: without this setting, each chunk faults in anew.
    np.empty(16 * _CHUNK_NUMBERS, np.float32)
    with file.open("wb") as out:
        out.write(struct.pack("<I", BINARY_VERSION))
        _string(out, name)
        fours = {key: value for key, value in (in_four_bits or {}).items() if key in quantized}
        out.write(struct.pack("<II", revision, len(stored) + len(quantized) + len(fours)))
        for key in stored:  # the scales are next in the order of names
            if key in fours:
                _four_bit_matrix(out, key, stored[key], fours[key])  # type: ignore[arg-type]
            elif key in quantized:
                _matrix(out, key, stored[key])  # type: ignore[arg-type]
            else:
                _plain(out, key, stored[key])
        out.write(struct.pack("<I", len(aliases)))
        for alias, other in sorted(aliases.items()):
            _string(out, alias)
            _string(out, other)


def same_variables(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Variables that equal an earlier one, each with the first equal variable."""
    seen: dict[tuple[object, ...], list[str]] = {}
    found: dict[str, str] = {}
    for name in sorted(tensors):
        tensor = tensors[name]
        alike = seen.setdefault((tensor.shape, tensor.rows(0, 1).tobytes()), [])
        other = next((other for other in alike if _equal(tensor, tensors[other])), None)
        if other is None:
            alike.append(name)
        else:
            found[name] = other
    return found


def _equal(a: Tensor, b: Tensor) -> bool:
    if a is b:
        return True
    return all(np.array_equal(a.rows(*chunk), b.rows(*chunk)) for chunk in chunks(a.shape))


def chunks(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Ranges of rows for a tensor of this shape, each small enough for memory."""
    step = max(1, _CHUNK_NUMBERS // int(np.prod(shape[1:], dtype=np.int64)))
    for begin in range(0, shape[0], step):
        yield begin, min(begin + step, shape[0])


def _plain(out: BinaryIO, name: str, value: Tensor | Scalar) -> None:
    if isinstance(value, np.generic):
        _header(out, name, (), value.dtype.name, value.nbytes)
        out.write(value.tobytes())
        return
    _header(out, name, value.shape, "float32", int(np.prod(value.shape)) * 4)
    for chunk in chunks(value.shape):
        out.write(value.rows(*chunk).astype("<f4", copy=False).tobytes())


def _matrix(out: BinaryIO, name: str, matrix: Tensor) -> None:
    """A matrix in int8, and its scales."""
    scales = []
    _header(out, name, matrix.shape, "int8", int(np.prod(matrix.shape)))
    for chunk in chunks(matrix.shape):
        quantized, scale = _quantized(matrix, *chunk)
        out.write(quantized.tobytes())
        scales.append(scale)
    scale = np.concatenate(scales)
    _header(out, f"{name}{_SCALE}", scale.shape, "float32", scale.nbytes)
    out.write(scale.tobytes())


def _four_bit_matrix(out: BinaryIO, name: str, matrix: Tensor, rounded: Callable[[Floats], FourBits]) -> None:
    """A matrix in four bits, the scales of its groups, and those of its rows."""
    groups = groups_of(matrix.shape[1])
    _header(out, name, (matrix.shape[0], groups, GROUP // 2), "int8", matrix.shape[0] * groups * GROUP // 2)
    group_scales, scales = [], []
    for chunk in chunks(matrix.shape):
        made = rounded(matrix.rows(*chunk))
        out.write(made.halves.tobytes())
        group_scales.append(made.group_scales)
        scales.append(made.scale)
    for end, parts in ((_GROUP_SCALE, group_scales), (_SCALE, scales)):
        part = np.concatenate(parts)
        _header(out, f"{name}{end}", part.shape, part.dtype.name, part.nbytes)
        out.write(part.tobytes())


def _quantized(matrix: Tensor, begin: int, end: int) -> tuple[Bytes, Floats]:
    return matrix.quantized_rows(begin, end) if isinstance(matrix, Quantized) else quantize(matrix.rows(begin, end))


def quantize(rows: Floats) -> tuple[Bytes, Floats]:
    """Rows in int8 and the multiplier of each. Overwrites the given rows.

    Raises:
        CannotConvert: a value is infinite or NaN.
    """
    largest = np.abs(rows).max(axis=1)
    if not np.isfinite(largest).all():
        raise CannotConvert("The weights hold numbers that are infinite, or none.")
    largest[largest == 0] = 127.0
    largest = np.maximum(largest, np.float32(127) / np.finfo(np.float32).max)  # tiny rows: a finite scale
    scale = np.float32(127.0) / largest
    rows *= scale[:, None]
    return np.rint(rows, out=rows).astype(np.int8), scale


def _header(out: BinaryIO, name: str, shape: tuple[int, ...], kind: str, length_bytes: int) -> None:
    if length_bytes > _MOST_BYTES:
        raise CannotConvert(f"'{name}' would have {length_bytes} bytes, which CTranslate2's form cannot say.")
    _string(out, name)
    out.write(struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, _TYPES[kind], length_bytes))


def _string(out: BinaryIO, text: str) -> None:
    raw = text.encode() + b"\0"
    out.write(struct.pack("<H", len(raw)) + raw)
