"""GGUF files in the models folders: imported once, by a process of their own; a bad one costs nothing else."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.registry import MANIFEST
from server.cli.inspect import list_models
from server.serving.dropped import Dropped
from server.settings import SHIPPED_MODELS
from tests.convert.weight_files import write_llama_gguf
from tests.server_process import serving

WRITES = "import pathlib, sys; (pathlib.Path(sys.argv[3]) / sys.argv[2]).mkdir()"
"""Stands in for an import that goes well, in a moment."""
FAILS = "import sys; sys.exit('hearth: /a/path says no')"


class Commands:
    """Commands that were begun."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.begun: list[str] = []

    def __call__(self, file: Path, name: str, models_dir: Path) -> list[str]:
        self.begun.append(f"{file.name} as {name}")
        return [sys.executable, "-c", self.code, str(file), name, str(models_dir)]


@pytest.fixture
def dropped(tmp_path: Path) -> Iterator[Any]:
    made: list[Dropped] = []

    def dropped(code: str = WRITES, **options: Any) -> tuple[Dropped, Commands]:
        commands = Commands(code)
        made.append(Dropped([tmp_path], command=commands, **options))
        return made[-1], commands

    yield dropped
    for each in made:
        each.close()


def settled(files: Dropped) -> dict[str, str]:
    """Names and states once no import is under way."""
    while True:
        found = files.look()
        if all(each.state != "importing" for each in found.values()):
            return {name: each.state for name, each in found.items()}


def test_each_file_is_imported_once_one_after_the_other(tmp_path: Path, dropped: Any) -> None:
    for name in ("b.Q8_0.gguf", "a.gguf", "c d.gguf", "readme.txt"):
        (tmp_path / name).write_bytes(b"GGUF")
    files, commands = dropped()
    assert {each.state for each in files.look().values()} == {"importing"}
    assert commands.begun == ["a.gguf as a"]
    assert settled(files) == {}
    assert commands.begun == ["a.gguf as a", "b.Q8_0.gguf as b.Q8_0", "c d.gguf as c-d"]
    assert files.look() == {}
    assert len(commands.begun) == 3


def test_parts_of_one_model_are_one_and_what_sees_pictures_is_none(tmp_path: Path, dropped: Any) -> None:
    for name in ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "mmproj-big.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    files, commands = dropped()
    assert settled(files) == {}
    assert commands.begun == ["big-00001-of-00002.gguf as big"]


def test_a_file_that_fails_is_tried_again_only_when_it_has_changed(
    tmp_path: Path, dropped: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    files, commands = dropped(FAILS)
    assert settled(files) == {"a": "failed"}
    assert settled(files) == {"a": "failed"}
    assert len(commands.begun) == 1
    assert "a.gguf is not served: /a/path says no" in caplog.text
    assert "/a/path" not in files.look()["a"].reason
    (tmp_path / "a.gguf").write_bytes(b"GGUF, whole now")
    commands.code = WRITES
    assert settled(files) == {}
    assert len(commands.begun) == 2


def test_only_models_that_are_wanted_are_imported(tmp_path: Path, dropped: Any) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    files, commands = dropped(wanted=("b",))
    assert settled(files) == {}
    assert commands.begun == ["b.gguf as b"]


def test_an_import_ends_with_the_server(tmp_path: Path, dropped: Any) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    files, _ = dropped("import signal; signal.pause()")
    assert files.look()["a"].state == "importing"
    files.close()  # a process that goes on would be found by the tests' watch


def listed(client: httpx.Client) -> dict[str, Any]:
    return {each["id"]: each for each in client.get("/v1/models").json()["data"]}


def chat(client: httpx.Client, model: str) -> httpx.Response:
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
    return client.post("/v1/chat/completions", json=body)


def test_a_bad_file_is_named_and_costs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(SHIPPED_MODELS / "assistant", tmp_path / "assistant")
    file = write_llama_gguf(tmp_path / "random.gguf")  # whole, but its text is as unlikely as chance
    file.with_name("cut.gguf").write_bytes(file.read_bytes()[:-1000])
    with serving(models_dir=tmp_path) as served, served.client() as client:
        served.wait_for("Ready")
        assert client.get("/ready").status_code == 200
        importing = chat(client, "random")  # while it is on its way
        assert (importing.status_code, importing.headers["retry-after"]) == (503, "5")
        states = listed(client)
        while any(each["state"] == "importing" for each in states.values()):
            states = listed(client)
        assert re.search(r"cut\.gguf is not served: .* cut off", "".join(served.lines))
        assert re.search(r"random\.gguf is not served: .* the perplexity of a plain text", "".join(served.lines))
        assert [states[name]["state"] for name in ("assistant", "cut", "random")] == ["ready", "failed", "failed"]
        assert states["cut"]["reason"] == "Its GGUF file cannot be imported. The server's log says more."
        assert client.get("/ready").status_code == 200
        assert chat(client, "assistant").status_code == 200
        refused = chat(client, "random")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert list_models(False, served.url, "") == 0
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert ["cut", "generation", "failed"] in lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assistant", "cut.gguf", "random.gguf"]
    assert (tmp_path / "assistant" / MANIFEST).is_file()
