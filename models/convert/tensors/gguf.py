"""Reads GGUF: magic, version, keys with values, names with shapes and types of tensors, then the tensors' blocks.

The reader compares every length in the header with the rest of the file before it uses the length.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.convert.tensors.base import BadWeights, Stored, WeightFile, elements_of
from models.convert.tensors.gguf_blocks import BLOCKS, UNREAD

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_KEYS, MOST_TENSORS = 1 << 16, 1 << 16
MOST_HEADER_BYTES = 256 << 20
"""The largest vocabularies take some 16 MB."""
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_ARRAYS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
_SHARD_KEYS = ("split.no", "split.count")


@dataclass(frozen=True, slots=True)
class Gguf:
    """The facts and tensors of a file, or of several that belong together."""

    facts: Mapping[str, Any]
    """Numbers, booleans, strings, and lists of these."""
    tensors: Mapping[str, Stored]
    """The tensors by GGUF's names; sizes outermost first, so a matrix has (outputs, inputs)."""


def is_gguf(path: Path) -> bool:
    """Tells whether a file begins with GGUF's magic."""
    with path.open("rb") as opened:
        return opened.read(4) == MAGIC


def read_gguf(files: list[WeightFile]) -> Gguf:
    """The whole header of a model in one file, or in several.

    Raises:
        BadWeights: a file is not a GGUF, is cut off, states wrong sizes, or has tensors of an unknown type.
    """
    facts: dict[str, Any] = {}
    tensors: dict[str, Stored] = {}
    for place, file in enumerate(files):
        read, held = _Header(file).read()
        if (read.get("split.count") or 1) != len(files) or read.get("split.no", 0) != place:
            raise BadWeights(f"{file.path.name} is one of {read.get('split.count')} files; all of them are needed.")
        both = tensors.keys() & held.keys()
        if both:
            raise BadWeights(f"{file.path.name}: the tensor {min(both)[:80]!r} is there twice.")
        facts = {**read, **facts}
        tensors |= held
    return Gguf({key: value for key, value in facts.items() if key not in _SHARD_KEYS}, tensors)


class _Header:
    """Reads one file from its beginning."""

    def __init__(self, file: WeightFile) -> None:
        self._file = file
        self._name = file.path.name
        self._bytes = memoryview(file.read(0, min(file.size_bytes, MOST_HEADER_BYTES)))
        self._at = 0

    def read(self) -> tuple[dict[str, Any], dict[str, Stored]]:
        if bytes(self._take(4)) != MAGIC:
            raise BadWeights(f"{self._name} is no GGUF file.")
        version = self._number("<I")
        if version not in VERSIONS:
            raise BadWeights(f"{self._name} is of GGUF's version {version}; read here: 2 and 3.")
        tensors, keys = self._number("<Q"), self._number("<Q")
        if tensors > MOST_TENSORS or keys > MOST_KEYS:
            raise BadWeights(f"{self._name} is damaged: it would have {tensors} tensors and {keys} keys.")
        facts: dict[str, Any] = {}
        for _ in range(keys):
            key = self._string()
            if key in facts:
                raise BadWeights(f"{self._name}: the key {key[:80]!r} is there twice.")
            facts[key] = self._value(self._number("<I"), key)
        return facts, self._tensors(tensors, facts.get("general.alignment", 32))

    def _tensors(self, count: int, alignment: Any) -> dict[str, Stored]:
        if type(alignment) is not int or not 1 <= alignment <= 1 << 20:
            raise BadWeights(f"{self._name} is damaged: its alignment is {alignment!r}.")
        listed = [self._tensor() for _ in range(count)]
        data = (self._at + alignment - 1) // alignment * alignment
        found: dict[str, Stored] = {}
        end = data
        for name, shape, kind, offset in sorted(listed, key=lambda each: each[3]):
            if name in found:
                raise BadWeights(f"{self._name}: the tensor {name[:80]!r} is there twice.")
            block = BLOCKS.get(kind)
            if block is None:
                raise BadWeights(
                    f"{self._name}: the tensor {name[:80]!r} is of the type {UNREAD.get(kind, kind)}, which is not "
                    f"read here; take a file of one of these: {', '.join(each.name for each in BLOCKS.values())}."
                )
            if shape[-1] % block.numbers:
                raise BadWeights(f"{self._name}: the rows of the tensor {name[:80]!r} are no whole blocks.")
            total = elements_of(name, shape) // block.numbers * block.size_bytes
            if data + offset < end or offset + data + total > self._file.size_bytes:
                raise BadWeights(f"{self._name} is damaged or cut off: the tensor {name[:80]!r} does not fit.")
            end = data + offset + total
            found[name] = Stored(self._file, data + offset, total // shape[0], shape, block.decode)
        return found

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        dimensions = self._number("<I")
        if not 1 <= dimensions <= 4:
            raise BadWeights(f"{self._name} is damaged: the tensor {name[:80]!r} has {dimensions} dimensions.")
        shape = tuple(self._number("<Q") for _ in range(dimensions))[::-1]
        elements_of(name, shape)
        return name, shape, self._number("<I"), self._number("<Q")

    def _value(self, kind: int, key: str) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise BadWeights(f"{self._name}: the key {key[:80]!r} has a value of the unknown type {kind}.")
        of, count = self._number("<I"), self._number("<Q")
        if of in _ARRAYS:
            numbers = np.frombuffer(self._take(count * np.dtype(_ARRAYS[of]).itemsize), _ARRAYS[of])
            return numbers.tolist()
        if of != _STRING or count > len(self._bytes) // 8:
            raise BadWeights(f"{self._name}: the key {key[:80]!r} has a list that cannot be read.")
        return [self._string() for _ in range(count)]

    def _string(self) -> str:
        return bytes(self._take(self._number("<Q"))).decode("utf-8", "replace")

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, count: int) -> memoryview:
        if count > len(self._bytes) - self._at:
            raise BadWeights(f"{self._name} is damaged or cut off: its header ends in the middle.")
        taken = self._bytes[self._at : self._at + count]
        self._at += count
        return taken
