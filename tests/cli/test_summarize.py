"""`hearth summarize` on texts and files, through a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.cli import main
from tests.server_process import Served, serving

NOTE = "HISTORY\n\nHe has had a cough for 3 weeks. It is worse at night.\n\nPLAN\n\nChest X-ray tomorrow.\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--models", "embed,assistant") as served:
        yield served


def run(server: Served, *arguments: str | Path) -> int:
    return main(["summarize", *map(str, arguments), "--url", server.url])


def test_a_file_is_summarized_whole_under_its_headings(server: Served, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "note.txt").write_text(NOTE)
    assert run(server, tmp_path / "note.txt", "--sentences", "2") == 0
    assert capsys.readouterr().out == "HISTORY\nHe has had a cough for 3 weeks.\n\nPLAN\nChest X-ray tomorrow.\n"
    assert run(server, tmp_path / "note.txt", "--sentences", "2", "-o", tmp_path / "short.txt") == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "short.txt").read_text().startswith("HISTORY\n")


def test_a_text_is_summarized_with_its_places(server: Served, capsys: Any) -> None:
    assert run(server, NOTE, "--words", "6", "--json") == 0
    item = json.loads(capsys.readouterr().out)
    for sentence in item["sentences"]:
        assert NOTE[sentence["sources"][0]["start"] : sentence["sources"][0]["end"]] == sentence["text"]


def test_what_a_generator_invents_is_told_beside_the_summary(server: Served, capsys: Any) -> None:
    assert run(server, NOTE, "--model", "assistant") == 0
    said = capsys.readouterr()
    assert said.out.strip()
    assert "nothing in the text supports: " in said.err


def test_other_files_and_lengths_without_a_sentence_are_told(server: Served, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "note.pdf").write_bytes(b"%PDF")
    assert run(server, tmp_path / "note.pdf") == 2
    assert "only files of plain text" in capsys.readouterr().err
    (tmp_path / "note.txt").write_bytes(b"caf\xe9")
    assert run(server, tmp_path / "note.txt") == 1
    assert "byte 3 is not UTF-8" in capsys.readouterr().err
    assert run(server, NOTE, "--words", "1") == 0
    assert "no sentence is short enough" in capsys.readouterr().err
