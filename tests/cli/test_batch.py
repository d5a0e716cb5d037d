"""`hearth batch`: a file of requests through a real server, begun and gone on with."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.cli import main
from server.cli.batch import _begun, _Note
from server.cli.client import Client
from tests.server_process import Served, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("data")
    with serving("--models", "sentiment", "--data-dir", str(folder)) as served:
        yield served


def run(server: Served, *arguments: str | Path) -> int:
    return main(["batch", *map(str, arguments), "--url", server.url])


def lines(file: Path, count: int) -> Path:
    made = [
        {"custom_id": str(i), "method": "POST", "url": "/v1/sentiment", "body": {"input": f"I love number {i}."}}
        for i in range(count)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in made))
    return file


def answers(file: Path) -> dict[str, Any]:
    return {each["custom_id"]: each for each in map(json.loads, file.read_text().splitlines())}


def held(server: Served) -> list[Any]:
    with Client(server.url) as client:
        return [*client.call("GET", "/v1/files")["data"]]


def test_a_file_is_answered_and_nothing_stays_at_the_server(server: Served, tmp_path: Path, capsys: Any) -> None:
    file = lines(tmp_path / "in.jsonl", 40)
    with file.open("a") as opened:
        opened.write(json.dumps({"custom_id": "bad", "method": "POST", "url": "/v1/sentiment", "body": {}}) + "\n")
    assert run(server, file) == 0
    made = answers(tmp_path / "in.answers.jsonl")
    assert list(made) == [str(i) for i in range(40)]
    assert made["3"]["response"]["body"]["data"][0]["label"] == "positive"
    assert list(answers(tmp_path / "in.answers.jsonl.errors.jsonl")) == ["bad"]
    assert "completed: 40 of 41 lines answered" in capsys.readouterr().err
    assert held(server) == []
    assert not list(tmp_path.glob("*.state*"))


@pytest.mark.parametrize("stopped", ["before the note of the batch", "after it"])
def test_the_same_command_goes_on_where_it_was_stopped(server: Served, tmp_path: Path, stopped: str) -> None:
    file = lines(tmp_path / "in.jsonl", 20)
    output = tmp_path / "out.jsonl"
    note = _Note(output, hashlib.sha256(file.read_bytes()).hexdigest())
    with Client(server.url) as client:
        id = _begun(client, note, file, "/v1/sentiment")
        count = len(client.call("GET", "/v1/batches?limit=100")["data"])
        if stopped != "after it":
            del note.facts["batch_id"]
            note.write()
        assert run(server, file, "-o", output) == 0
        assert len(answers(output)) == 20
        assert len(client.call("GET", "/v1/batches?limit=100")["data"]) == count, "no second batch"
        assert client.call("GET", f"/v1/batches/{id}")["status"] == "completed"


def test_another_file_of_the_same_name_is_begun_anew(server: Served, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    _Note(output, "of another file").write(batch_id="batch_of_another_file")
    assert run(server, lines(tmp_path / "in.jsonl", 3), "-o", output) == 0
    assert len(answers(output)) == 3


def test_faults_of_the_file_are_told_by_their_lines(server: Served, tmp_path: Path, capsys: Any) -> None:
    file = lines(tmp_path / "in.jsonl", 2)
    file.write_text(file.read_text() + "no json\n")
    assert run(server, file) == 1
    assert "line 3: The line is not valid JSON" in capsys.readouterr().err
    (tmp_path / "empty.jsonl").write_text("")
    assert run(server, tmp_path / "empty.jsonl") == 1
    assert "--endpoint" in capsys.readouterr().err
    assert run(server, tmp_path / "none.jsonl") == 1


def test_a_batch_is_cancelled_by_the_same_command(server: Served, tmp_path: Path) -> None:
    file = lines(tmp_path / "in.jsonl", 2000)
    note = _Note(tmp_path / "out.jsonl", hashlib.sha256(file.read_bytes()).hexdigest())
    with server.frozen("sentiment"):
        with Client(server.url) as client:
            _begun(client, note, file, "/v1/sentiment")
        assert run(server, file, "-o", tmp_path / "out.jsonl", "--cancel") == 1
    assert len(answers(tmp_path / "out.jsonl.errors.jsonl")) == 2000
