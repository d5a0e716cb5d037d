"""Reads safetensors: eight bytes give the length of a JSON header with name, type, shape and place of each tensor."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.convert.tensors.base import FLOAT_BYTES, BadWeights, Stored, WeightFile, elements_of, float_decoder

MOST_HEADER_BYTES = 100 << 20
"""The limit of the format's own library."""
_OTHERS = {1: "BOOL U8 I8 F8_E4M3 F8_E5M2", 2: "I16 U16", 4: "I32 U32", 8: "I64 U64"}
_BYTES = {**FLOAT_BYTES, **{name: size for size, names in _OTHERS.items() for name in names.split()}}


def read_safetensors(file: WeightFile) -> Mapping[str, Stored]:
    """The tensors of a file. Tensors of other types than floats are included; reading them raises `BadWeights`.

    Raises:
        BadWeights: the file is not safetensors, or its header is wrong.
    """
    name = file.path.name
    length = int.from_bytes(file.read(0, 8), "little")
    if not 2 <= length <= min(MOST_HEADER_BYTES, file.size_bytes - 8):
        raise BadWeights(f"{name} is no safetensors file, or is cut off: its header would have {length} bytes.")
    try:
        header = json.loads(file.read(8, length), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadWeights(f"{name} is no safetensors file: its header is no JSON ({error}).") from error
    if not isinstance(header, dict):
        raise BadWeights(f"{name} is no safetensors file: its header is no object.")
    found = {key: _stored(file, key, about, 8 + length) for key, about in header.items() if key != "__metadata__"}
    end = 8 + length
    for tensor in sorted(found.values(), key=lambda each: each.offset):
        if tensor.offset < end:
            raise BadWeights(f"{name}: two tensors lie in one place.")
        end = tensor.offset + tensor.row_bytes * tensor.shape[0]
    return found


def shards(folder: Path, index: Mapping[str, Any]) -> list[Path]:
    """The files that an index of shards names.

    Raises:
        BadWeights: the index names no file, a file outside the folder, or a missing file.
    """
    table = index.get("weight_map")
    names = set(table.values()) if isinstance(table, dict) else set()
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise BadWeights("The index of the weights names no files beside it.")
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise BadWeights(f"The weights are not whole: {', '.join(missing[:3])} is missing.")
    return [folder / name for name in sorted(names)]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _stored(file: WeightFile, name: str, about: Any, data: int) -> Stored:
    try:
        kind, shape = about["dtype"], tuple(about["shape"])
        begin, end = about["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise BadWeights(f"{file.path.name}: the tensor {name[:80]!r} has no type, shape or place.") from error
    if kind not in _BYTES or not all(type(number) is int for number in (*shape, begin, end)):
        raise BadWeights(f"{file.path.name}: the tensor {name[:80]!r} is of the type {str(kind)[:40]!r}.")
    shape = shape or (1,)
    count = elements_of(name, shape)
    if begin < 0 or end - begin != count * _BYTES[kind] or data + end > file.size_bytes:
        raise BadWeights(f"{file.path.name} is damaged or cut off: the tensor {name[:80]!r} does not fit its place.")
    decode = float_decoder(kind) if kind in FLOAT_BYTES else _refuse(name, kind)
    return Stored(file, data + begin, count // shape[0] * _BYTES[kind], shape, decode)


def _refuse(name: str, kind: str) -> Any:
    def decode(raw: bytes) -> Any:
        raise BadWeights(f"The tensor {name[:80]!r} holds {kind}, no floats: these weights are quantized already.")

    return decode
