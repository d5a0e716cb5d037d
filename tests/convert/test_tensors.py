"""Readers of weights give the right numbers, a few rows at a time; the writer holds no tensor as a whole."""

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from models.convert.contract import CannotConvert
from models.convert.model_bin import quantize, write_model
from models.convert.opened import open_path
from models.convert.source import SourceError
from models.convert.tensors.base import BadWeights, Joined, Picked, Transposed, WeightFile, scaled, whole
from models.convert.tensors.gguf import read_gguf
from models.convert.tensors.gguf_blocks import BLOCKS
from models.convert.tensors.safetensors import read_safetensors
from tests.convert.model_files import read_variables
from tests.convert.weight_files import NUMBERS, write_gguf, write_safetensors

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
