"""``hearth bench`` against a real server: each task, whole counts, errors in words."""

import json
from collections.abc import Iterator

import pytest

from server.cli import main
from tests.server_process import Served, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def bench(server: Served, *arguments: str) -> int:
    return main(["bench", "--url", server.url, "--requests", "6", "--clients", "1,3", *arguments])


def test_a_generator_writes_exactly_what_is_asked(server: Served, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--model", "assistant", "--prompt-tokens", "40", "--output-tokens", "5", "--json")
    assert bench(server, *asked) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["task"] == "generation"
    assert [row["clients"] for row in report["rows"]] == [1, 3]
    for row in report["rows"]:
        assert row["tokens_per_s"] == pytest.approx(5 * row["requests_per_s"])
        assert 0 < row["first_token_ms_p50"] <= row["first_token_ms_p95"] <= row["answer_ms_p95"]
        assert row["per_token_ms_p50"] > 0
    with server.client() as client:
        metrics = client.get("/metrics").text
    # One round of warmup for each count of clients, then six requests each: none is answered from another's prompt.
    assert 'hearth_prompt_tokens_total{model="assistant"} 640.0' in metrics
    assert 'hearth_generation_tokens_total{model="assistant"} 80.0' in metrics


@pytest.mark.parametrize("model", ["translate", "sentiment", "moderation", "embed"])
def test_every_other_task_has_requests_a_second(server: Served, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(server, "--model", model) == 0
    title, headings, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith(f"{model} (")
    assert "tokens/s" not in headings
    assert [int(row.split()[0]) for row in rows] == [1, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nothing"), "nothing"),
        (("--model", "assistant", "--prompt-tokens", "100000"), "more than the 1024"),
        (("--model", "translate", "--to", "xx"), "xx"),
    ],
)
def test_what_cannot_be_measured_is_said(
    server: Served, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(server, *arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["0", "1,x", "-1"])
def test_a_count_is_a_number(wrong: str) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--clients", wrong])
