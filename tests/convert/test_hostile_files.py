"""A damaged or hostile file of weights gives one clear sentence; the reader executes nothing and allocates little."""

import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.convert import Request, convert
from models.convert.contract import CannotConvert
from models.convert.opened import open_path, open_weights
from models.convert.source import SourceError
from models.convert.tensors.base import BadWeights, WeightFile, whole
from models.convert.tensors.gguf import read_gguf
from models.convert.tensors.pickled import read_pickled
from models.convert.tensors.safetensors import read_safetensors
from models.registry import ManifestError
from tests.convert.weight_files import NUMBERS, write_llama, write_llama_gguf, write_safetensors


def safetensors_file(header: Any, data: bytes = b"\0" * 64) -> bytes:
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + data


def about(begin: Any = 0, end: Any = 64, kind: Any = "F32", shape: Any = (4, 4)) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is cut off: it has 0 bytes"),
        (b"\xff" * 8 + b"{}", "its header would have 18446744073709551615 bytes"),
        (safetensors_file(b"{]"), "its header is no JSON"),
        (safetensors_file(b"[" * 100_000), "its header is no JSON"),
        (safetensors_file([]), "its header is no object"),
        (safetensors_file({"a": 1}), "'a' has no type, shape or place"),
        (safetensors_file({"a": about(kind="F3")}), "is of the type 'F3'"),
        (safetensors_file({"a": about(begin=-64, end=0)}), "does not fit its place"),
        (safetensors_file({"a": about(begin=64, end=128)}), "does not fit its place"),
        (safetensors_file({"a": about(end=32)}), "does not fit its place"),
        (safetensors_file({"a": about(shape=(2**40, 2**40))}), "none of a model's"),
        (safetensors_file({"a": about(shape=(-4, -4))}), "none of a model's"),
        (safetensors_file({"a": about(shape=(4.0, 4))}), "is of the type"),
        (safetensors_file({"a": about(), "b": about()}), "two tensors lie in one place"),
        (safetensors_file(b'{"a": {}, "a": {}}'), "a name stands twice"),
    ],
)
def test_a_hostile_safetensors_file_is_one_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    file = WeightFile(tmp_path / "a.safetensors")
    with pytest.raises(BadWeights, match=why):
        read_safetensors(file)
    file.close()


def test_weights_that_are_quantized_already_are_said_when_they_are_read(tmp_path: Path) -> None:
    file = WeightFile(write_safetensors(tmp_path / "a.safetensors", {"a": NUMBERS.astype(np.int8)}))
    with pytest.raises(BadWeights, match="holds I8, no floats"):
        whole(read_safetensors(file)["a"])
    file.close()


class Harm:
    """A pickle that makes a file when it is loaded as pickles are."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self._file), "w"))


def pickled_file(file: Path, table: bytes, name: str = "archive/data.pkl") -> WeightFile:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, table)
        archive.writestr("archive/data/0", NUMBERS.tobytes())
    return WeightFile(file)


def test_a_pickle_that_does_something_is_refused_and_does_nothing(tmp_path: Path) -> None:
    harmed = tmp_path / "harmed"
    file = pickled_file(tmp_path / "a.bin", pickle.dumps({"a": Harm(harmed)}))
    with pytest.raises(BadWeights, match=r"name (io|_io|builtins)\.open, which no table of tensors needs"):
        read_pickled(file)
    assert not harmed.exists()
    file.close()


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (b"", "is no table of tensors"),
        (pickle.dumps([1]), "is no table of tensors"),
        (pickle.dumps({"a": 1})[:-3], "is no table of tensors"),
        (b"\x80\x02cos\nsystem\n.", "name os.system"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(tR.", "is no table of tensors"),
        (b"\x80\x02U\x01aQ.", "refer to something else than numbers"),
    ],
)
def test_a_hostile_pickle_is_one_sentence(tmp_path: Path, table: bytes, why: str) -> None:
    file = pickled_file(tmp_path / "a.bin", table)
    with pytest.raises(BadWeights, match=why):
        read_pickled(file)
    file.close()


def test_weights_of_before_zip_files_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(pickle.dumps(119547037146038801333356) + pickle.dumps(1001))
    file = WeightFile(tmp_path / "a.bin")
    with pytest.raises(BadWeights, match=r"before torch 1\.6"):
        read_pickled(file)
    file.close()


def gguf_file(*parts: bytes, tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(parts) + bytes(64)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def a_tensor(name: str = "a", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"GGUF", "ends in the middle"),
        (b"GGML" + bytes(40), "is no GGUF file"),
        (gguf_file(version=1), "version 1; read here: 2 and 3"),
        (gguf_file(tensors=2**60), "1152921504606846976 tensors"),
        (gguf_file(keys=2**40), "1099511627776 keys"),
        (gguf_file(struct.pack("<Q", 2**62), keys=1), "ends in the middle"),
        (gguf_file(text("k"), struct.pack("<IQ", 8, 2**40), keys=1), "ends in the middle"),
        (gguf_file(text("k"), struct.pack("<IIQ", 9, 5, 2**61), keys=1), "ends in the middle"),
        (gguf_file(text("k"), struct.pack("<IIQ", 9, 8, 2**61), keys=1), "a list that cannot be read"),
        (gguf_file(text("k"), struct.pack("<IIQ", 9, 9, 1), keys=1), "a list that cannot be read"),
        (gguf_file(text("k"), struct.pack("<I", 77), keys=1), "a value of the unknown type 77"),
        (gguf_file(*[text("k") + struct.pack("<II", 4, 1)] * 2, keys=2), "the key 'k' is there twice"),
        (gguf_file(a_tensor(shape=(2**40, 2**40)), tensors=1), "none of a model's"),
        (gguf_file(a_tensor(shape=(0,)), tensors=1), "none of a model's"),
        (gguf_file(a_tensor(shape=(1,) * 9), tensors=1), "has 9 dimensions"),
        (gguf_file(a_tensor(kind=16), tensors=1), "is of the type IQ2_XXS, which is not read here"),
        (gguf_file(a_tensor(kind=999), tensors=1), "is of the type 999, which is not read here"),
        (gguf_file(a_tensor(shape=(33,), kind=8), tensors=1), "are no whole blocks"),
        (gguf_file(a_tensor(offset=2**63), tensors=1), "does not fit"),
        (gguf_file(a_tensor(shape=(4,)), a_tensor("b", (4,)), tensors=2), "does not fit"),
        (gguf_file(a_tensor(shape=(4,)), a_tensor(shape=(4,), offset=32), tensors=2), "is there twice"),
        (gguf_file(text("general.alignment"), struct.pack("<II", 4, 0), keys=1), "its alignment is 0"),
    ],
)
def test_a_hostile_gguf_is_one_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    file = WeightFile(tmp_path / "a.gguf")
    with pytest.raises(BadWeights, match=why):
        read_gguf([file])
    file.close()


def mutations(content: bytes, count: int) -> list[bytes]:
    """The content cut off, with bytes changed, and with numbers of eight bytes replaced by absurd ones."""
    random = np.random.default_rng(0)
    made = [content[: int(at)] for at in random.integers(0, len(content), count)]
    for at in random.integers(0, min(len(content), 20_000) - 8, count):
        changed = bytearray(content)
        changed[at] = int(random.integers(0, 256))
        made.append(bytes(changed))
    for at in random.integers(0, min(len(content), 20_000) - 8, count):
        absurd = random.choice(np.array([0, 2**31, 2**32 - 1, 2**62, 2**64 - 1], np.uint64))
        made.append(content[:at] + absurd.tobytes() + content[at + 8 :])
    return made


def safe(folder: Path) -> tuple[Path, Path]:
    return write_llama(folder / "hub"), folder / "hub" / "model.safetensors"


def gguf(folder: Path) -> tuple[Path, Path]:
    file = write_llama_gguf(folder / "a.gguf")
    return file, file


@pytest.mark.parametrize("write", [safe, gguf])
def test_no_mutation_of_a_file_is_more_than_a_sentence(
    tmp_path: Path, write: Callable[[Path], tuple[Path, Path]]
) -> None:
    source, file = write(tmp_path)
    outcomes = {"read": 0, "refused": 0}
    for content in mutations(file.read_bytes(), 150):
        file.write_bytes(content)
        try:
            with open_weights(open_path(source)) as tensors:
                for tensor in tensors.values():
                    tensor.rows(0, 1)
            outcomes["read"] += 1
        except (SourceError, CannotConvert):
            outcomes["refused"] += 1
    assert outcomes["refused"] > 150  # every file that is cut off, and more
    assert outcomes["read"] > 20  # a changed number of a tensor is none the wiser


def test_no_mutation_of_a_pickle_is_more_than_a_sentence(tmp_path: Path) -> None:
    table = io.BytesIO()
    pickle.dump({"a": [1, "b", 2.5, ("c",)], "d": {"e": b"f" * 40}}, table)
    for content in mutations(table.getvalue() + bytes(9), 300):
        file = pickled_file(tmp_path / "a.bin", content)
        with suppress(BadWeights):
            assert read_pickled(file) == {}
        file.close()


def test_a_gguf_with_changed_bytes_becomes_a_model_or_a_sentence_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = write_llama_gguf(tmp_path / "a.gguf")
    whole_file, random = file.read_bytes(), np.random.default_rng(5)
    outcomes = {"made": 0, "refused": 0}
    for _ in range(80):
        changed = bytearray(whole_file)
        for at in random.integers(24, 14_000, int(random.integers(1, 4))):
            changed[at] = int(random.integers(0, 256))
        file.write_bytes(bytes(changed))
        try:
            convert(open_path(file), tmp_path / "models", "mine", Request(check="structure"))
            outcomes["made"] += 1
            shutil.rmtree(tmp_path / "models" / "mine")
        except (SourceError, CannotConvert, ManifestError):
            outcomes["refused"] += 1
        assert not (tmp_path / "models").exists() or list((tmp_path / "models").iterdir()) == []
    assert min(outcomes.values()) > 15
