"""Which models the engine takes, and the reason when it does not."""

import dataclasses
import json
import shutil
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

from server.engines.kinds import EngineSpec
from server.engines.step import support
from server.engines.step.engine import StepEngine
from tests.engines.step import tiny
from tests.engines.step.conftest import FolderOf


def test_every_family_is_served(folder_of: FolderOf) -> None:
    assert {family: support.supports(folder_of(family)) for family in tiny.FAMILIES} == dict.fromkeys(tiny.FAMILIES)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({**tiny.LLAMA, "head_dim": 20}, "20 dimensions"),
        ({**tiny.GPT2, "alibi": True}, "ALiBi"),
    ],
)
def test_what_is_not_known_is_refused_with_a_reason(
    compiled: Any, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    folder = tiny.write(tmp_path, tiny.Family(options))
    reason = support.supports(folder)
    assert reason is not None
    assert any(part in reason for part in says.split("|")), reason
    with pytest.raises(ValueError, match="cannot serve"):
        StepEngine(EngineSpec("step", str(folder)))


def test_an_unknown_variable_is_refused(compiled: Any, folder_of: FolderOf, tmp_path: Path) -> None:
    """Whatever it means, leaving it out would change answers."""
    shutil.copytree(folder_of("qwen3"), tmp_path, dirs_exist_ok=True)
    data = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(data.replace(b"decoder/scale_alibi\0", b"decoder/scale_alibj\0"))
    assert support.supports(tmp_path) == "it holds 'decoder/scale_alibj', which this engine does not know"


@pytest.mark.parametrize(
    ("family", "lacks", "says"),
    [
        ("llama3", {"change": tiny.ctranslate2s_llama3}, "Llama 3.1"),
        ("gemma2", {"config": {}}, "Gemma 2"),
        ("gemma2", {"config": {"final_logit_softcap": 30.0}}, "attention_logit_softcap"),
        ("gemma2", {"config": {"attention_logit_softcap": 50.0}}, "final_logit_softcap"),
        ("gemma2", {"change": None}, "sliding_window"),
    ],
)
def test_what_ctranslate2s_converter_leaves_out_is_missed_by_name(
    compiled: Any, tmp_path: Path, family: str, lacks: dict[str, Any], says: str
) -> None:
    """No engine computes such a model's own answers, so none is to serve it."""
    folder = tiny.write(tmp_path, dataclasses.replace(tiny.FAMILIES[family], **lacks))
    with pytest.raises(compiled.Incomplete, match=rf"(?s){says}.*hearth convert"):
        support.supports(folder)


def test_no_cap_may_be_said(compiled: Any, tmp_path: Path) -> None:
    caps = {"final_logit_softcap": 0, "attention_logit_softcap": 0}
    assert support.supports(tiny.write(tmp_path, dataclasses.replace(tiny.FAMILIES["gemma2"], config=caps))) is None


@pytest.mark.parametrize("cap", [-1, True, "30", float("inf"), float("nan")])
def test_a_cap_is_a_number(compiled: Any, tmp_path: Path, cap: Any) -> None:
    config = {"final_logit_softcap": 30.0, "attention_logit_softcap": cap}
    folder = tiny.write(tmp_path, dataclasses.replace(tiny.FAMILIES["gemma2"], config=config))
    assert support.supports(folder) == "config.json: attention_logit_softcap is not a number from 0 to 1e+06"


def test_float_weights_are_refused(compiled: Any, tmp_path: Path) -> None:
    tiny.write(tmp_path, tiny.FAMILIES["llama"], quantization=None)
    assert "not int8" in str(support.supports(tmp_path))


def test_a_folder_is_checked_as_a_whole(compiled: Any, folder_of: FolderOf, tmp_path: Path) -> None:
    shutil.copytree(folder_of("llama"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "vocabulary.json").write_text(json.dumps(["a", "b"]))
    assert support.supports(tmp_path) == "vocabulary.json has 2 entries and the model 199 embeddings"
    (tmp_path / "config.json").write_text('{"layer_norm_epsilon": "small"}')
    assert support.supports(tmp_path) == "config.json: layer_norm_epsilon is not a number from 0 to 1"
    (tmp_path / "config.json").write_text("[]")
    assert support.supports(tmp_path) == "config.json is not an object"
    assert "No such file" in str(support.supports(tmp_path / "nothing"))


def test_without_the_compiled_part_the_reason_says_what_to_do(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(support, "core", lambda: None)
    assert "C++20 compiler" in str(support.supports(tmp_path))


def test_a_compiled_part_that_cannot_be_loaded_is_not_taken_for_none(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / f"damaged{EXTENSION_SUFFIXES[0]}").write_bytes(b"cut off")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(support, "CORE", "damaged")
    assert "cannot be loaded: " in str(support.supports(tmp_path))
    monkeypatch.setattr(support, "CORE", "nothing_of_this_name")
    assert support.supports(tmp_path) == support.NOT_COMPILED
