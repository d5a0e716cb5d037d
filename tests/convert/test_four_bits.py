"""Four bits: how near the numbers stay, what the manifest says of the loss, and what cannot be had."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.cards import ModelCard
from models.convert import CannotConvert, Request, convert, open_path, read_source
from models.convert.four_bits import STEPS, four_bits
from models.convert.table import converter_for
from models.convert.tensors.base import Floats
from models.registry import read_card, verify
from server.cli.probes import open_served
from server.engines.step.support import core, is_own
from tests.convert.decoder_repositories import write_json
from tests.convert.test_flags import write
from tests.engines.step import reference

STEP = pytest.mark.skipif(core() is None, reason="the step engine is not compiled here")
ONES = np.ones(96, np.float32)


def made(source: Path, models: Path, **request: Any) -> ModelCard:
    options = {"open_probe": open_served, "check": "structure", "quantization": "int4", **request}
    return read_card(convert(open_path(source), models, "mine", Request(**options)))


def normal(rows: int = 64, inputs: int = 96) -> Floats:
    return np.random.default_rng(0).normal(0, 0.05, (rows, inputs)).astype(np.float32)


def off(wanted: Floats, found: Floats) -> float:
    return float(np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()))


def test_the_search_is_nearer_than_rounding_to_even_steps() -> None:
    rows = normal()
    grouped = rows.reshape(64, 3, 32)
    step = np.abs(grouped).max(2, keepdims=True) / 8
    even = (np.clip(np.rint(grouped / step), -8, 7) * step).reshape(rows.shape)
    assert off(rows, four_bits(rows, ONES).floats(96)) < 0.85 * off(rows, even)


def test_inputs_that_count_more_are_rounded_more_finely() -> None:
    rows = normal()
    counts = ONES.copy()
    counts[::4] = 50
    plain, weighed = (four_bits(rows, each).floats(96) for each in (ONES, counts))
    assert off(rows[:, ::4], weighed[:, ::4]) < 0.8 * off(rows[:, ::4], plain[:, ::4])


def test_numbers_of_the_form_come_back_as_they_are() -> None:
    random = np.random.default_rng(1)
    steps = STEPS[random.integers(0, 16, (5, 2, 32))]
    steps[:, :, 0] = -127
    scales = random.integers(1, 128, (5, 2, 1))
    scales[:, 0] = 127
    rows = (steps * scales / 1000).reshape(5, 64).astype(np.float32)
    assert np.allclose(four_bits(rows, ONES[:64]).floats(64), rows, rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-38, 1e-30, 1.0, 1e30, 3e38])
def test_rows_of_any_size_stay_finite(size: float) -> None:
    rows = np.sign(normal(4, 40)) * np.float32(size)
    rows[1] = 0
    found = four_bits(rows, ONES[:40])
    assert np.isfinite(found.scale).all()
    assert (found.scale > 0).all()
    assert np.allclose(found.floats(40), rows, rtol=0.2, atol=1e-37)


def test_inputs_that_no_text_reached_are_rounded_all_the_same() -> None:
    rows = normal()
    assert off(rows, four_bits(rows, np.zeros(96, np.float32)).floats(96)) < 0.1


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_weights_that_are_no_numbers_are_refused(wrong: float) -> None:
    rows = normal()
    rows[3, 7] = wrong
    with pytest.raises(CannotConvert, match="infinite, or none"):
        four_bits(rows, ONES)


@STEP
@pytest.mark.parametrize("kind", ["olmo2", "gptneox"])
def test_a_model_in_four_bits_is_served_and_its_manifest_says_the_loss(tmp_path: Path, kind: str) -> None:
    said: list[str] = []
    card = made(write(tmp_path / "hub", kind), tmp_path / "models", report=said.append)
    verify(card)
    assert card.quantization == "int4"
    assert is_own(card.folder)
    assert card.generation is not None
    assert card.generation.closed_loop_tokens == 0
    than = "int8" if kind == "olmo2" else "float32"  # CTranslate2, which computes float32, does not know the first
    found = {figure.metric: figure.value for figure in card.figures}
    assert found[f"perplexity of the passage in {than}"] > 1
    loss = found[f"rise of the perplexity by four bits over {than}, percent"]
    assert any(line.startswith("warning: four bits raise the perplexity") for line in said) == (loss > 4)
    assert not list((tmp_path / "models").glob(".*"))


@STEP
def test_a_large_loss_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.convert.in_four_bits.MOST_LOSS_PERCENT", -100.0)
    said: list[str] = []
    made(write(tmp_path / "hub", "gptneox"), tmp_path / "models", report=said.append)
    assert any("int8 (the default) serves this model better" in line for line in said)


@STEP
def test_the_inputs_that_count_are_those_of_the_models_own_texts(tmp_path: Path) -> None:
    """Two conversions write the same file, and the weights are the original's up to rounding."""
    hub = write(tmp_path / "hub", "gptneox")
    first, second = (made(hub, tmp_path / name) for name in ("one", "two"))
    assert first.path("model.bin").read_bytes() == second.path("model.bin").read_bytes()
    int8 = made(hub, tmp_path / "eight", quantization="int8_float32")
    ids = np.random.default_rng(1).integers(0, 300, 100).tolist()
    with open_served(first.folder) as probe:
        ours = probe.logits(ids)
    wanted = reference.logits(int8.folder, ids)
    assert np.abs(ours - wanted).mean() < 0.3 * wanted.std()


def test_without_our_engine_there_are_no_four_bits(tmp_path: Path) -> None:
    with pytest.raises(CannotConvert, match="Only our decode engine serves four bits"):
        made(write(tmp_path / "hub", "gptneox"), tmp_path / "models", open_probe=None)


def test_what_is_no_decoder_is_refused_by_name(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"})
    source = read_source(tmp_path)
    assert converter_for(source) is not None
    with pytest.raises(CannotConvert, match="cannot be served in four bits: only decoders"):
        converter_for(source, "int4")
