"""The places from which commands read their settings, and their messages about wrong ones."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from models.registry import MANIFEST
from server.cli import main

WORK_ON_FOLDERS = {
    "train": ["classifier", "--data", "none.csv", "--name", "mine"],
    "pull": ["nobody/nothing", "--offline", "--name", "mine"],
    "convert": ["nobody/nothing", "--name", "mine"],
    "rm": ["nothing"],
    "run": ["nothing", "--url", "http://127.0.0.1:9"],
    "doctor": [],
}
"""The commands that work on model folders, with arguments to which they answer with the folder they looked at."""


@pytest.fixture(autouse=True)
def logs() -> Any:
    """`hearth serve` sets up the log of the whole process."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one model, whose manifest is broken."""
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / MANIFEST).write_text("broken")
    return tmp_path / "models"


def test_every_command_that_works_on_model_folders_is_tried_here(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    names = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert {"serve", *WORK_ON_FOLDERS} <= set(names)
    for name in names:
        with pytest.raises(SystemExit):
            main([name, *(["classifier"] if name == "train" else []), "--help"])
        assert ("--models-dir" in capsys.readouterr().out) == (name in {"serve", *WORK_ON_FOLDERS}), name


@pytest.mark.parametrize("place", ["environment", "file", "flag"])
@pytest.mark.parametrize("command", WORK_ON_FOLDERS)
def test_every_command_works_on_the_folder_that_the_settings_name(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, command: str, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("HEARTH_MODELS_DIR", str(models))
    if place == "file":
        (tmp_path / "hearth.toml").write_text(f'models_dir = "{models}"\n')
        monkeypatch.setenv("HEARTH_CONFIG", str(tmp_path / "hearth.toml"))
    flag = ["--models-dir", str(models)] if place == "flag" else []
    assert main([command, *WORK_ON_FOLDERS[command], *flag]) == 1
    said = capsys.readouterr()
    assert str(models) in said.out + said.err


def test_a_doctor_counts_the_cores_of_the_settings_and_goes_on_after_a_broken_model(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (models / "nothing").mkdir()
    (models / "nothing" / MANIFEST).write_text("")
    monkeypatch.setenv("HEARTH_CORES", "1")
    assert main(["doctor", "--models-dir", str(models)]) == 1
    said = capsys.readouterr().out
    assert " 1 usable cores" in said
    assert re.findall(r"^(\w+) +cannot be served", said, re.MULTILINE) == ["mine", "nothing"]


def test_a_doctor_says_where_there_is_no_model(tmp_path: Path, capsys: Any) -> None:
    assert main(["doctor", "--models-dir", str(tmp_path)]) == 1
    assert f"there is no model in {tmp_path}" in capsys.readouterr().out


def test_one_that_listens_nowhere_does_not_ask_for_keys(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("HEARTH_HOST", "0.0.0.0")  # noqa: S104  as in the image, whose word may be a flag's
    assert main(["rm", "nothing", "--models-dir", str(models)]) == 1
    assert "there is no model 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", *WORK_ON_FOLDERS])
def test_a_wrong_value_in_the_environment_is_wrong_usage_everywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, command: str
) -> None:
    monkeypatch.setenv("HEARTH_QUEUE_ROWS", "many")
    assert main([command, *WORK_ON_FOLDERS.get(command, [])]) == 2
    assert "hearth: HEARTH_QUEUE_ROWS in the environment is 'many'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", *WORK_ON_FOLDERS])
def test_a_foreign_name_in_the_environment_is_said_and_passed_over(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, command: str
) -> None:
    monkeypatch.setenv("HEARTH_PORT", "tcp://10.96.14.3:8000")
    monkeypatch.setenv("HEARTH_MODEL_DIR", "elsewhere")
    # No model of this name is there, which is looked for once the settings are read.
    more = ["--models", "nobody"] if command == "serve" else WORK_ON_FOLDERS[command]
    assert main([command, *more, "--models-dir", str(models)]) == (2 if command == "serve" else 1)
    said = capsys.readouterr().err
    assert "enableServiceLinks: false" in said
    assert (
        "HEARTH_MODEL_DIR in the environment is not a setting; it is ignored. Did you mean HEARTH_MODELS_DIR?" in said
    )


def test_an_unknown_flag_is_refused_with_the_nearest_one(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--queue-row-count", "5"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --queue-row-count 5. Did you mean --queue-rows?" in capsys.readouterr().err
