"""What an engine process looks at before it serves, on the shipped models and on damaged copies of them."""

from pathlib import Path
from typing import Any

import pytest

from models.registry import read_card
from server.engines.kinds import EngineSpec
from tests.poison import WEIGHTS, copied, damage, fill

KIND = {"assistant": "ct2-generator", "translate": "step-translator", "sentiment": "ct2-encoder"}
FINAL = {
    "assistant": "decoder/layer_norm/gamma",
    "translate": "decoder/layer_norm/gamma",
    "sentiment": "encoder/layer_5/ffn/layer_norm/gamma",
}


def spec(folder: Path, name: str) -> EngineSpec:
    return EngineSpec(KIND[name], str(folder), digests=read_card(folder).files)


def assert_told(engine: Any, what: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what is wrong, the engine's reason, which clients are told, of which kind it is."""
    assert any(what in record.message for record in caplog.records)
    assert "its files are damaged, or not what its manifest says" in engine.reason
    assert what not in engine.reason


@pytest.mark.parametrize("name", KIND)
def test_a_good_model_passes(processes: Any, name: str) -> None:
    assert processes(spec(WEIGHTS / name, name)).wait_ready()


def test_a_damaged_file_is_named_and_not_tried_again(
    processes: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied("sentiment", tmp_path)
    damage(folder, "model.bin")
    engine = processes(spec(folder, "sentiment"))
    assert not engine.wait_ready()
    assert_told(engine, "model.toml: 'model.bin' is damaged", caplog)
    assert len([record for record in caplog.records if "died" in record.message]) == 1


def test_weights_that_are_no_numbers_are_refused_by_name(
    processes: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied("translate", tmp_path)
    fill(folder, FINAL["translate"], float("nan"))
    engine = processes(spec(folder, "translate"))
    assert not engine.wait_ready()
    assert_told(engine, f"model.bin: the values of '{FINAL['translate']}'", caplog)


@pytest.mark.parametrize("name", KIND)
def test_outputs_that_are_not_finite_are_refused(
    processes: Any, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each weight is a number, but the layers make infinities of them."""
    folder = copied(name, tmp_path)
    fill(folder, FINAL[name], 3e38)
    engine = processes(spec(folder, name))
    assert not engine.wait_ready()
    assert_told(engine, "outputs are not finite", caplog)
