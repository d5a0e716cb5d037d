"""`hearth translate` and `hearth classify` on files, through a real server."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.cli import main
from server.cli.bulk import _File
from server.cli.client import CallFailed
from tests.server_process import Served, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--models", "sentiment,translate") as served:
        yield served


def run(server: Served, *arguments: str | Path) -> int:
    return main([*map(str, arguments), "--url", server.url])


def jsonl(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_text_is_answered_at_once(server: Served, capsys: Any) -> None:
    assert run(server, "classify", "I love it!") == 0
    assert capsys.readouterr().out.startswith("positive\n")
    assert run(server, "translate", "--to", "de", "Good morning.") == 0
    assert "source_language: en" in capsys.readouterr().out


def test_the_order_of_lines_is_kept(server: Served, tmp_path: Path) -> None:
    moods = ["I love it.", "I hate it."] * 150
    (tmp_path / "in.txt").write_text("\n".join(moods) + "\n")
    assert run(server, "classify", tmp_path / "in.txt", "-o", tmp_path / "out.txt") == 0
    assert (tmp_path / "out.txt").read_text().split() == ["positive", "negative"] * 150
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.txt"]


def test_columns_stay_and_new_ones_come(server: Served, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id,comment\n1,"I love it,\nreally."\n2,I hate it.\n')
    assert run(server, "classify", tmp_path / "in.csv", "--field", "comment", "-o", tmp_path / "out.csv") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["comment"], row["label"]) for row in rows] == [
        ("1", "I love it,\nreally.", "positive"),
        ("2", "I hate it.", "negative"),
    ]


def test_bad_lines_are_kept_aside_and_none_is_lost(server: Served, tmp_path: Path, capsys: Any) -> None:
    good = json.dumps({"id": 1, "text": "Guten Morgen."})
    lines = [good, "{broken", json.dumps({"id": 2}), json.dumps({"text": " "}), json.dumps([1]), good]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    assert run(server, "translate", "--to", "en", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl") == 0
    assert "4 lines were rejected" in capsys.readouterr().err
    assert [record["source_language"] for record in jsonl(tmp_path / "out.jsonl")] == ["de", "de"]
    aside = jsonl(tmp_path / "out.jsonl.rejected.jsonl")
    assert [row["line"] for row in aside] == [2, 3, 4, 5]
    assert all(row["reason"] for row in aside)


def test_a_line_the_server_refuses_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("fine\nwrong\nfine\n")

    def work(batch: Sequence[str]) -> list[dict[str, str]]:
        if "wrong" in batch:
            raise CallFailed("Input 1 is wrong.", 400)
        return [{"label": "x"} for _ in batch]

    assert _File(tmp_path / "in.txt", tmp_path / "out.txt", "text", "label").work_off(work) == 1
    assert (tmp_path / "out.txt").read_text() == "x\nx\n"
    [aside] = jsonl(tmp_path / "out.txt.rejected.jsonl")
    assert (aside["line"], aside["reason"]) == (2, "Input 1 is wrong.")


def test_a_long_line_is_classified_like_any_other(server: Served, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("fine\n" + "This is wonderful. " * 100 + "\n")
    assert run(server, "classify", tmp_path / "in.txt", "-o", tmp_path / "out.txt") == 0
    assert (tmp_path / "out.txt").read_text().splitlines()[1] == "positive"


def test_what_no_file_can_hold_is_kept_aside_as_it_was_read(tmp_path: Path) -> None:
    line = '{"text": "half \\ud83d"}'
    (tmp_path / "in.jsonl").write_text(f'{{"text": "whole \\ud83d\\ude00"}}\n{line}\n')
    rejected = _File(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "text", "label").work_off(
        lambda batch: [{"label": "x"} for _ in batch]
    )
    assert rejected == 1
    assert jsonl(tmp_path / "out.jsonl") == [{"text": "whole \U0001f600", "label": "x"}]
    assert jsonl(tmp_path / "out.jsonl.rejected.jsonl")[0]["record"] == {"line": line}


@pytest.mark.parametrize("dies_after", [1, 3, 5])
def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, dies_after: int) -> None:
    file = tmp_path / "in.jsonl"
    texts = [str(i) for i in range(500)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" if int(text) % 50 else "bad\n" for text in texts))
    calls: list[Sequence[str]] = []

    def work(batch: Sequence[str]) -> list[dict[str, str]]:
        calls.append(batch)
        if len(calls) > dies_after:
            raise CallFailed("the server is gone")
        return [{"label": text * 2} for text in batch]

    output = tmp_path / "out.jsonl"
    with pytest.raises(CallFailed):
        _File(file, output, "text", "label").work_off(work)
    assert not output.exists()
    done_before = sum(len(batch) for batch in calls[:dies_after])
    calls.clear()
    dies_after = 1000
    rejected = _File(file, output, "text", "label").work_off(work)
    assert rejected == 10
    assert [record["label"] for record in jsonl(output)] == [text * 2 for text in texts if int(text) % 50]
    assert [row["line"] for row in jsonl(tmp_path / "out.jsonl.rejected.jsonl")] == list(range(1, 500, 50))
    assert sum(len(batch) for batch in calls) <= 490
    assert done_before > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "out.jsonl.rejected.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.pdf", b"x", "format"),
        ("in.csv", b"a,b\n1,2\n", "no column 'text'"),
        ("in.txt", b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    server: Served, tmp_path: Path, capsys: Any, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert run(server, "classify", tmp_path / name, "-o", tmp_path / "out") == 1
    assert says in capsys.readouterr().err


def test_without_a_server_the_message_says_how_to_start_one(capsys: Any) -> None:
    assert main(["classify", "hello", "--url", "http://127.0.0.1:9"]) == 1
    assert "hearth serve" in capsys.readouterr().err


def test_list_and_show_tell_what_is_served(server: Served, capsys: Any) -> None:
    assert run(server, "list") == 0
    assert "sentiment  classification  ready" in capsys.readouterr().out
    assert run(server, "show", "translate", "--json") == 0
    assert json.loads(capsys.readouterr().out)["languages"] == ["en", "de", "fr", "es"]
    assert run(server, "show", "nothing") == 1
    assert "no model 'nothing'" in capsys.readouterr().err


def test_doctor_says_which_engine_serves_which_model(capsys: Any) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "usable cores" in said
    assert "step-translator" in said


def test_a_file_with_structure_is_translated_whole(server: Served, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "in.srt").write_bytes(b"1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>Good morning.</i>\r\n")
    assert run(server, "translate", "--from", "en", "--to", "de", tmp_path / "in.srt") == 2
    assert run(server, "translate", "--from", "en", "--to", "de", tmp_path / "in.srt", "-o", tmp_path / "out.srt") == 0
    made = (tmp_path / "out.srt").read_bytes()
    assert made == b"1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>Guten Morgen.</i>\r\n"
    (tmp_path / "in.json").write_text("{")
    assert run(server, "translate", "--to", "de", tmp_path / "in.json", "-o", tmp_path / "out.json") == 1
    assert "no JSON" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.json", "in.srt", "out.srt"]
