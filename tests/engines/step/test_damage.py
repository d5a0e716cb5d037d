"""A damaged or strange model.bin is an error with a sentence, never a crash or a wild allocation."""

import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.step import tiny
from tests.engines.step.conftest import IN_FOUR_BITS, FolderOf


def load(compiled: Any, path: Path) -> Any:
    return compiled.Decoder(str(path), compiled.Config(), 1, "", 64, 1 << 20)


@pytest.fixture(scope="module", params=["llama-tied-many-heads", f"llama{IN_FOUR_BITS}"])
def sound(folder_of: FolderOf, request: Any) -> bytes:
    return (folder_of(request.param) / "model.bin").read_bytes()


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(data: bytes) -> Path:
        path = tmp_path / "model.bin"
        path.write_bytes(data)
        return path

    return write


def test_every_cut_is_noticed(compiled: Any, sound: bytes, file: Any) -> None:
    random = np.random.default_rng(0)
    cuts = [*range(0, 120), *random.integers(0, len(sound), 100).tolist(), len(sound) - 1]
    for cut in cuts:
        with pytest.raises(ValueError, match=r"."):
            load(compiled, file(sound[:cut]))


def test_flipped_bytes_are_an_error_or_a_model(compiled: Any, sound: bytes, file: Any) -> None:
    """Flips in names, shapes, sizes and scalars; payload bytes may make another sound model."""
    random = np.random.default_rng(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marks = [i for i in range(len(sound)) if sound.startswith(b"decoder/", i)]
    errors = 0
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(int(random.integers(1, 4))):
            at = int(random.choice(marks)) + int(random.integers(-2, 80))
            data[min(max(at, 0), len(data) - 1)] = int(random.integers(0, 256))
        try:
            one = load(compiled, file(bytes(data)))
        except ValueError:
            errors += 1
            continue
        row = one.open([1, 2, 3])
        assert one.reserve(row, 3)
        one.step([row], [3])
    assert errors > 150
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def header(count: int) -> bytes:
    name = b"TransformerDecoderSpec\0"
    return struct.pack("<IH", 6, len(name)) + name + struct.pack("<II", 8, count)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cut off"),
        (struct.pack("<I", 5), "binary version 5"),
        (header(0xFFFFFFFF), "claims 4294967295 variables"),
        (header(1) + struct.pack("<H", 0), "length zero"),
        (header(1) + struct.pack("<H", 3) + b"abc", "not terminated"),
        (header(1) + struct.pack("<H", 2) + b"a\0" + bytes([255]), "rank 255"),
        (header(1) + struct.pack("<H", 2) + b"a\0" + struct.pack("<BII", 2, 2**31, 2**31), "impossible shape"),
        (header(1) + struct.pack("<H", 2) + b"a\0" + struct.pack("<BIBI", 1, 4, 99, 4), "unknown type"),
        (header(1) + struct.pack("<H", 2) + b"a\0" + struct.pack("<BIBI", 1, 4, 0, 4), "4 bytes, its shape says 16"),
        (header(1) + struct.pack("<H", 2) + b"a\0" + struct.pack("<BIBI", 1, 2**28, 0, 2**30), "cut off"),
        (header(0) + struct.pack("<IH", 1, 2) + b"a\0" + struct.pack("<H", 2) + b"b\0", "which is not there"),
        (header(0) + struct.pack("<I", 0), "'decoder/embeddings/weight' is missing"),
    ],
)
def test_each_kind_of_damage_is_named(compiled: Any, file: Any, data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        load(compiled, file(data))


def test_weights_that_do_not_fit_each_other_are_refused(compiled: Any, folder_of: FolderOf, file: Any) -> None:
    data = (folder_of("llama") / "model.bin").read_bytes()
    at = data.index(b"layer_1/ffn/linear_1/weight\0") + len(b"layer_1/ffn/linear_1/weight\0")
    rank, rows, columns = struct.unpack_from("<BII", data, at)
    assert (rank, rows, columns) == (2, tiny.WIDTH, 100)
    swapped = data[:at] + struct.pack("<BII", 2, columns, rows) + data[at + 9 :]
    with pytest.raises(
        compiled.ModelError, match=r"layer_1/ffn/linear_1/weight' has shape \(100, 72\), not \(72, 100\)"
    ):
        load(compiled, file(swapped))


def test_ids_and_lengths_are_checked(compiled: Any, folder_of: FolderOf) -> None:
    one = load(compiled, folder_of("llama") / "model.bin")
    for wrong in ([], [tiny.VOCABULARY], [-1], [0] * 65):
        with pytest.raises(ValueError, match=r"prompt|vocabulary"):
            one.open(wrong)
    row = one.open([1] * 10)
    with pytest.raises(ValueError, match="not reserved"):
        one.step([row], [10])
    assert one.reserve(row, 10)
    for rows, counts in (([row], [11]), ([row], [0]), ([row, row], [1, 1]), ([7], [1]), ([row], [])):
        with pytest.raises(ValueError, match=r"row"):
            one.step(rows, counts)
