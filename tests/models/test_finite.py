"""Weights that are not numbers are refused by name."""

import struct
from pathlib import Path

import numpy as np
import pytest

from models.finite import PORTION, require_finite
from models.registry import ManifestError, find_models
from tests.poison import WEIGHTS, copied, fill

GAMMA = "encoder/layer_0/ffn/layer_norm/gamma"
TYPES = {0: "<f4", 1: "<i1", 4: "<f2"}


def write(file: Path, kind: int, raw: bytes) -> Path:
    name = b"layer/bias\0"
    head = struct.pack("<IH2sII", 6, 2, b"T\0", 1, 1) + struct.pack("<H", len(name)) + name
    width = 4 if kind == 0 else 1 if kind == 1 else 2
    file.write_bytes(head + struct.pack("<BIBI", 1, len(raw) // width, kind, len(raw)) + raw + struct.pack("<I", 0))
    return file


@pytest.mark.parametrize("name", [card.id for card in find_models(WEIGHTS)])
def test_the_shipped_weights_are_numbers(name: str) -> None:
    require_finite(WEIGHTS / name / "model.bin")


def test_a_nan_among_the_weights_is_refused_with_the_name_of_its_variable(tmp_path: Path) -> None:
    folder = copied("sentiment", tmp_path)
    fill(folder, GAMMA, float("nan"))
    with pytest.raises(ManifestError, match=GAMMA):
        require_finite(folder / "model.bin")


@pytest.mark.parametrize("kind", [0, 4])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf], ids=["nan", "minus nan", "infinity"])
def test_one_bad_value_is_found_in_every_type_of_float(tmp_path: Path, kind: int, bad: float) -> None:
    values = np.ones(99, TYPES[kind])
    values[42] = bad
    with pytest.raises(ManifestError, match="layer/bias"):
        require_finite(write(tmp_path / "model.bin", kind, values.tobytes()))


def test_the_last_value_of_a_large_variable_is_looked_at_too(tmp_path: Path) -> None:
    values = np.ones(PORTION + 1, "<f2")
    require_finite(write(tmp_path / "good.bin", 4, values.tobytes()))
    values[-1] = np.nan
    with pytest.raises(ManifestError, match="layer/bias"):
        require_finite(write(tmp_path / "model.bin", 4, values.tobytes()))


@pytest.mark.parametrize(("bits", "is_good"), [(0x3F80, True), (0xFF80, True), (0x7F80, False), (0x7FC0, False)])
def test_bfloat16_is_read_by_its_bits(tmp_path: Path, bits: int, is_good: bool) -> None:
    file = write(tmp_path / "model.bin", 5, struct.pack("<HH", 0x3F80, bits))
    if is_good:
        require_finite(file)
    else:
        with pytest.raises(ManifestError):
            require_finite(file)


def test_a_bias_may_ban_a_token_and_integers_are_not_looked_at(tmp_path: Path) -> None:
    require_finite(write(tmp_path / "model.bin", 0, np.array([1.0, -np.inf, 3e38], "<f4").tobytes()))
    require_finite(write(tmp_path / "model.bin", 1, b"\xff" * 8))


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "model.bin", 0, bytes(64))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ManifestError, match="layer/bias"):
        require_finite(file)


def test_a_file_of_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    file = write(tmp_path / "model.bin", 0, bytes(64))
    file.write_bytes(struct.pack("<I", 7) + file.read_bytes()[4:])
    with pytest.raises(ManifestError, match="binary version 7"):
        require_finite(file)
