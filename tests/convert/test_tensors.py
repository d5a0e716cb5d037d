"""Readers of weights: right numbers, a few rows at a time; whatever is damaged or hostile is one sentence."""

import hashlib
import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.convert.contract import CannotConvert
from models.convert.model_bin import quantize, write_model
from models.convert.opened import open_path, open_weights
from models.convert.source import SourceError
from models.convert.tensors.base import BadWeights, Joined, Picked, Transposed, WeightFile, scaled, whole
from models.convert.tensors.gguf import read_gguf
from models.convert.tensors.gguf_blocks import BLOCKS
from models.convert.tensors.pickled import read_pickled
from models.convert.tensors.safetensors import read_safetensors
from tests.convert.model_files import read_variables
from tests.convert.weight_files import write_gguf, write_llama, write_llama_gguf, write_safetensors

NUMBERS = np.random.default_rng(0).normal(0, 1, (6, 8)).astype(np.float32)

DIGESTS = {
    2: ("Q4_0", 64, "50dc1637df90566f"),
    3: ("Q4_1", 61, "4ce648b2349e8ff3"),
    6: ("Q5_0", 63, "0a8a9fd4a7c002ff"),
    7: ("Q5_1", 60, "33777a51766a2010"),
    8: ("Q8_0", 63, "500d79fe35cd8737"),
    10: ("Q2_K", 60, "9c0635c00657600c"),
    11: ("Q3_K", 62, "5c0147e188311cdd"),
    12: ("Q4_K", 58, "155d794964c1535a"),
    13: ("Q5_K", 59, "157e140f56fade16"),
    14: ("Q6_K", 62, "5d9f99df36783477"),
    20: ("IQ4_NL", 61, "6f1c492e87e55898"),
    23: ("IQ4_XS", 63, "4d630f20392635ee"),
    39: ("MXFP4", 62, "b49a1a3bbd3ccf28"),
}
"""What the dequantisers of the package gguf 0.19.0 make of 64 random blocks of each type: its name, how many blocks
have finite numbers only, and the beginning of the SHA-256 of those."""


@pytest.mark.parametrize("kind", DIGESTS)
@pytest.mark.filterwarnings("ignore:overflow|invalid value:RuntimeWarning")  # random scales are infinite at times
def test_blocks_are_decoded_bit_for_bit_as_llama_cpp_does(kind: int) -> None:
    block = BLOCKS[kind]
    raw = np.random.default_rng(kind).integers(0, 256, (64, block.size_bytes), dtype=np.uint8)
    found = block.decode(raw.tobytes()).reshape(64, block.numbers)
    fine = np.isfinite(found).all(1)
    digest = hashlib.sha256(found[fine].astype("<f4").tobytes()).hexdigest()[:16]
    assert (block.name, int(fine.sum()), digest) == DIGESTS[kind]


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "bfloat16"])
def test_floats_of_every_size_are_read_some_rows_at_a_time(tmp_path: Path, kind: str) -> None:
    array: np.ndarray = NUMBERS.astype(kind if kind != "bfloat16" else "float32")
    wanted = array.astype(np.float32).view(np.uint32)
    if kind == "bfloat16":
        array, wanted = (wanted >> 16).astype(np.uint16), wanted & 0xFFFF0000
    file = WeightFile(write_safetensors(tmp_path / "a.safetensors", {"first": NUMBERS, "a": array}))
    tensor = read_safetensors(file)["a"]
    assert tensor.shape == (6, 8)
    assert np.array_equal(whole(tensor).view(np.uint32), wanted)
    assert np.array_equal(tensor.rows(2, 5).view(np.uint32), wanted[2:5])
    file.close()


def test_what_is_made_of_tensors_reads_as_the_whole_would(tmp_path: Path) -> None:
    file = WeightFile(write_safetensors(tmp_path / "a.safetensors", {"a": NUMBERS, "b": NUMBERS * 2}))
    a, b = (read_safetensors(file)[name] for name in "ab")
    order = np.array([5, 1, 2, 0])
    made = {
        "joined": (Joined((a, b)), np.concatenate([NUMBERS, NUMBERS * 2])),
        "picked": (Picked(a, order), NUMBERS[order]),
        "turned": (Transposed(a), NUMBERS.T),
        "scaled": (scaled(a, 0.5), NUMBERS * np.float32(0.5)),
        "rows scaled": (scaled(a, NUMBERS[:, 0]), NUMBERS * NUMBERS[:, :1]),
    }
    for name, (tensor, wanted) in made.items():
        assert tensor.shape == wanted.shape, name
        for begin in range(len(wanted)):
            for end in range(begin + 1, len(wanted) + 1):
                assert np.array_equal(tensor.rows(begin, end), wanted[begin:end]), name
    file.close()


def test_a_model_is_written_without_holding_a_tensor_as_a_whole(tmp_path: Path) -> None:
    large = np.random.default_rng(0).normal(0, 1, (40_000, 512)).astype(np.float32)  # 82 MB
    file = WeightFile(write_safetensors(tmp_path / "a.safetensors", {"a": large}))
    tensors = read_safetensors(file)
    tracemalloc.start()
    write_model(tmp_path / "model.bin", "T", 1, {"x/weight": tensors["a"], "y/weight": tensors["a"]}, "int8")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < large.nbytes  # a few chunks of 17 MB
    variables, aliases = read_variables(tmp_path / "model.bin")
    quantized, scale = quantize(large.copy())
    assert np.array_equal(variables["x/weight"], quantized)
    assert np.array_equal(variables["x/weight_scale"], scale)
    assert aliases == {"y/weight": "x/weight"}
    file.close()


def test_numbers_that_are_none_are_refused() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(CannotConvert, match="infinite, or none"):
            quantize(np.array([[1.0, bad]], np.float32))


def test_the_largest_row_and_the_smallest_are_quantized() -> None:
    quantized, scale = quantize(np.array([[0, 0], [1e-44, 0], [3e38, -3e38]], np.float32))
    assert quantized.tolist()[0] == [0, 0]
    assert quantized.tolist()[2] == [127, -127]
    assert np.isfinite(scale).all()


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


def test_a_gguf_in_several_files_is_one_model(tmp_path: Path) -> None:
    arrays = {"a": NUMBERS, "b": NUMBERS * 2}
    for i, name in enumerate(arrays):
        facts = {"split.no": i, "split.count": 2, "general.name": "first" if i == 0 else "second"}
        write_gguf(tmp_path / f"m-{i + 1:05}-of-00002.gguf", facts, {name: arrays[name]})
    files = [WeightFile(file) for file in sorted(tmp_path.iterdir())]
    read = read_gguf(files)
    assert read.facts == {"general.name": "first"}
    assert all(np.array_equal(whole(read.tensors[name]), array) for name, array in arrays.items())
    for wrong in (files[:1], files[::-1], [files[0], files[0]]):
        with pytest.raises(BadWeights, match="all of them are needed"):
            read_gguf(wrong)
    for file in files:
        file.close()
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(SourceError, match=r"m-00002-of-00002\.gguf is missing"):
        open_path(tmp_path / "m-00001-of-00002.gguf")
