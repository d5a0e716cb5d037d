"""Reads weights that torch pickled: a zip with a pickle of names and shapes, and the raw numbers beside it.

The pickle may name only the seven classes and functions that make up a table of tensors; each name yields a record of
this module, not torch's object. So the reader executes nothing from the file and does not need torch.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.convert.tensors.base import FLOAT_BYTES, BadWeights, Stored, WeightFile, elements_of, float_decoder

MOST_PICKLE_BYTES = 64 << 20
_STORAGES = {"FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64"}
_WHOLE_STORAGES = ("LongStorage", "IntStorage", "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage")
"""Types of counters and masks, which no decoder's weights have; the reader skips such tensors."""
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, slots=True)
class _Storage:
    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickled(file: WeightFile) -> Mapping[str, Stored]:
    """The float tensors of a file.

    Raises:
        BadWeights: the file is not of this form, is damaged, or names other objects than tensors.
    """
    name = file.path.name
    try:
        with zipfile.ZipFile(file.path) as archive:
            members = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
            about = members.get("data.pkl")
            if about is None or about.file_size > MOST_PICKLE_BYTES:
                raise BadWeights(f"{name} has no table of tensors that can be read.")
            with archive.open(about) as opened:
                table = _Reader(opened).load()
    except BadWeights:
        raise
    except zipfile.BadZipFile as error:
        raise BadWeights(
            f"{name} is cut off, or was written before torch 1.6; save it again, as safetensors."
        ) from error
    except Exception as error:  # a damaged pickle can raise any class
        raise BadWeights(f"{name} is no table of tensors: {str(error)[:200] or type(error).__name__}.") from error
    if isinstance(table, dict) and isinstance(table.get("state_dict"), dict):
        table = table["state_dict"]
    if not isinstance(table, dict):
        raise BadWeights(f"{name} is no table of tensors.")
    tensors = {str(key): value for key, value in table.items() if isinstance(value, _Tensor) and value.storage.kind}
    return {key: _stored(file, key, tensor, members) for key, tensor in tensors.items()}


def _stored(file: WeightFile, name: str, tensor: _Tensor, members: Mapping[str, zipfile.ZipInfo]) -> Stored:
    shape = tensor.shape or (1,)
    if not all(type(number) is int for number in (*shape, *tensor.strides, tensor.first)) or tensor.first < 0:
        raise BadWeights(f"{file.path.name}: the tensor {name[:80]!r} has no shape.")
    count = elements_of(name, shape)
    wanted, step = [], 1
    for size in reversed(shape):
        wanted.append(step)
        step *= size
    if tensor.shape and tensor.strides != tuple(reversed(wanted)):
        raise BadWeights(f"{file.path.name}: the rows of the tensor {name[:80]!r} do not lie one after the other.")
    entry = members.get(f"data/{tensor.storage.key}")
    size = FLOAT_BYTES[tensor.storage.kind]
    if entry is None or entry.compress_type != zipfile.ZIP_STORED or (tensor.first + count) * size > entry.file_size:
        raise BadWeights(f"{file.path.name} is damaged: the tensor {name[:80]!r} does not fit its place.")
    local = file.read(entry.header_offset, _LOCAL_HEADER_BYTES)
    begins = entry.header_offset + _LOCAL_HEADER_BYTES + int.from_bytes(local[26:28], "little")
    begins += int.from_bytes(local[28:30], "little")
    return Stored(
        file,
        begins + tensor.first * size,
        count // shape[0] * size,
        shape,
        float_decoder(tensor.storage.kind),
    )


def _tensor(storage: Any, first: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise BadWeights("The weights have a tensor without numbers.")
    return _Tensor(storage, first, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The record for a name in the pickle."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and (name in _STORAGES or name in _WHOLE_STORAGES):
            return _STORAGES.get(name, "")
        raise BadWeights(f"The pickled weights name {module[:60]}.{name[:60]}, which no table of tensors needs.")

    def persistent_load(self, about: Any) -> _Storage:
        """The storage that the pickle refers to."""
        match about:
            case ("storage", str(kind), str(key), _, _):
                return _Storage(kind, key)
        raise BadWeights("The pickled weights refer to something else than numbers.")
