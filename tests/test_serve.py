"""Tests that need a real process: signals, dead engines, damaged models."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server_process import LIMIT_S, Served, free_port, serving

WEIGHTS = Path(__file__).parents[1] / "models" / "weights"
LONG = {
    "model": "assistant",
    "messages": [{"role": "user", "content": "I need a table for two."}],
    "max_tokens": 900,
    "ignore_eos": True,
    "stream": True,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def events(lines: Iterator[str]) -> Iterator[Any]:
    for line in lines:
        if line.startswith("data: "):
            yield "[DONE]" if line == "data: [DONE]" else json.loads(line[6:])


@pytest.mark.parametrize(
    ("page", "shows"), [("playground", "<title>Hearth"), ("API", "<title>"), ("metrics", "hearth_build_info")]
)
def test_the_pages_that_the_start_names_are_there(server: Served, page: str, shows: str) -> None:
    url = server.wait_for(rf"^  {page} +(http://\S+)$")[1]
    assert url.startswith(server.url)
    assert shows in httpx.get(url).text


def test_the_start_names_no_page_that_is_not_there(tmp_path: Path) -> None:
    flags = ("--playground", "false", "--metrics-port", str(free_port()), "--host", "0.0.0.0", "--allow-public", "true")  # noqa: S104
    with serving(*flags, models_dir=tmp_path) as served:
        url = served.wait_for(r"^  API +(http://\S+)$")[1]
        assert url.startswith("http://127.0.0.1:")  # an address that stands for all cannot be opened
        assert not [line for line in served.lines if line.split()[0] in ("playground", "metrics")]


def test_a_killed_engine_ends_a_begun_stream_with_an_error_event_and_comes_back(server: Served) -> None:
    with server.client() as client, client.stream("POST", "/v1/chat/completions", json=LONG) as stream:
        told = events(stream.iter_lines())
        first = next(told)
        pid = server.engine("assistant")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        rest = list(told)
    assert first["choices"]
    assert rest[-1] == "[DONE]"
    assert rest[-2]["error"]["code"] == "engine_failed"
    with server.client() as client:
        again = client.post("/v1/chat/completions", json={**LONG, "stream": False, "max_tokens": 5})
        assert again.status_code == 200
        assert 'engine_restarts_total{model="assistant"} 1.0' in client.get("/metrics").text


def test_a_killed_engine_costs_no_answer_and_other_models_never_notice(server: Served) -> None:
    pid = server.engine("sentiment")
    assert pid is not None
    with server.client() as client:
        os.kill(pid, signal.SIGKILL)
        answer = client.post("/v1/sentiment", json={"input": ["I love it."] * 50})
        assert answer.status_code == 200
        assert {row["label"] for row in answer.json()["data"]} == {"positive"}
        assert client.post("/v1/translations", json={"input": "Hello.", "target": "de"}).status_code == 200
    assert server.engine("sentiment") != pid


def test_sigterm_drains_and_leaves_nothing_behind() -> None:
    with serving("--models", "assistant,sentiment") as served:
        children = served.children()
        assert len(children) == 2
        with served.client() as client, client.stream("POST", "/v1/chat/completions", json=LONG) as stream:
            told = events(stream.iter_lines())
            next(told)
            with served.frozen("assistant"):
                served.terminate()
                served.wait_for("draining")
                with served.client() as other:
                    refused = other.post("/v1/sentiment", json={"input": "too late"})
                    assert refused.status_code == 503
                    assert int(refused.headers["retry-after"]) >= 1
                    assert other.get("/ready").status_code == 503
                    assert other.get("/health").status_code == 200
            rest = list(told)
        assert rest[-1] == "[DONE]"
        assert rest[-2]["choices"][0]["finish_reason"] == "length"
        assert served.process.wait(LIMIT_S) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_a_second_signal_stops_at_once_and_every_stream_still_ends() -> None:
    with serving("--models", "assistant") as served:
        with served.client() as client, client.stream("POST", "/v1/chat/completions", json=LONG) as stream:
            told = events(stream.iter_lines())
            next(told)
            served.terminate()
            served.wait_for("draining")
            served.terminate()
            try:
                rest = list(told)
            except httpx.RemoteProtocolError:
                rest = ["cut"]  # seen by the client as an error, not as an end
        assert rest[-1] in ("[DONE]", "cut")
        assert served.process.wait(LIMIT_S) == 0


def test_an_engine_ends_with_its_parent_whatever_ends_the_parent() -> None:
    with serving("--models", "sentiment") as served:
        child = served.engine("sentiment")
        assert child is not None
        child_fd = os.pidfd_open(child)
        served.process.kill()
        served.process.wait(LIMIT_S)
        ended, _, _ = select.select([child_fd], [], [], LIMIT_S)
        os.close(child_fd)
        assert ended


def test_a_damaged_model_is_named_and_the_others_are_served(tmp_path: Path) -> None:
    for name in ("sentiment", "embed"):
        shutil.copytree(WEIGHTS / name, tmp_path / name)
    weights = tmp_path / "sentiment" / "model.bin"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with serving(models_dir=tmp_path) as served, served.client() as client:
        refused = client.post("/v1/sentiment", json={"input": "hello", "model": "sentiment"})
        assert refused.status_code == 503
        assert "files are damaged" in refused.json()["error"]["message"]
        assert client.post("/v1/embeddings", json={"input": "hello", "model": "embed"}).status_code == 200
        ready = client.get("/ready")
        assert ready.status_code == 503
        assert "files are damaged" in ready.text
        assert "model.bin" not in refused.text + ready.text  # the log names the file, a client is told the kind
        assert client.get("/v1/models/sentiment").json()["state"] == "failed"
    assert any("'model.bin' is damaged" in line for line in served.lines)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--prot", "1"], "--prot"),
        (["--port", "x"], "a whole number"),
        (["--models", "gpt-5"], "gpt-5"),
        (["--models-dir", "/nowhere"], "no such folder"),
        (["--host", "0.0.0.0"], "api_keys"),  # noqa: S104  the point of the test
    ],
)
def test_what_is_wrong_at_the_start_is_said_with_exit_code_2(flags: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", "serve", *flags], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 2
    assert says in done.stderr


def test_a_model_that_comes_while_the_server_runs_is_picked_up(tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS / "embed", tmp_path / "embed")
    with serving(models_dir=tmp_path) as served, served.client() as client:
        ask = {"model": "sentiment", "input": "I love it."}
        assert client.post("/v1/sentiment", json=ask).status_code == 404
        shutil.copytree(WEIGHTS / "sentiment", tmp_path / "coming")
        (tmp_path / "coming").rename(tmp_path / "sentiment")
        first = client.post("/v1/sentiment", json=ask)
        assert first.status_code in (200, 503), first.text
        while client.get("/v1/models/sentiment").json()["state"] == "loading":
            pass
        assert client.post("/v1/sentiment", json=ask).json()["data"][0]["label"] == "positive"
        assert client.get("/ready").status_code == 200


def test_the_cache_of_a_running_generator_is_measured(server: Served) -> None:
    def scraped(name: str) -> float:
        text = httpx.get(f"{server.url}/metrics", timeout=LIMIT_S).text
        return float(re.findall(rf'^hearth_{name}{{[^}}]*model="assistant"[^}}]*}} (\S+)', text, re.MULTILINE)[0])

    with server.client() as client:
        body = {
            "model": "assistant",
            "messages": [{"role": "user", "content": "I need a table. " * 20}],
            "max_tokens": 2,
        }
        before = scraped("prefix_cache_hits_total")
        cached = [client.post("/v1/chat/completions", json=body).json()["usage"] for _ in range(2)][1]
        found = cached["prompt_tokens_details"]["cached_tokens"]
        assert found > 0
        assert scraped("prefix_cache_hits_total") - before >= found
        assert scraped("prefix_cache_queries_total") >= 2 * cached["prompt_tokens"]
        assert scraped("cache_config_info") == 1
        with client.stream("POST", "/v1/chat/completions", json=LONG) as stream:
            next(events(stream.iter_lines()))
            with server.frozen("assistant"):
                assert 0 < scraped("kv_cache_usage_perc") < 1


def test_sigterm_waits_for_no_line_of_a_batch_and_the_next_start_goes_on(tmp_path: Path) -> None:
    flags = ("--models", "assistant", "--data-dir", str(tmp_path), "--drain-s", "0.5")
    made = ({"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": LONG} for i in range(64))
    lines = "\n".join(json.dumps(line | {"body": {**LONG, "stream": False}}) for line in made)
    with serving(*flags) as served, served.client() as client:
        file = client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", lines)}).json()
        told = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = client.post("/v1/batches", json=told).json()
        while 'hearth_num_requests_running{model="assistant"} 0.0' in client.get("/metrics").text:
            pass
        served.terminate()
        assert served.process.wait(LIMIT_S) == 0
        assert not any("still running" in line for line in served.lines)
    with serving(*flags) as served, served.client() as client:
        assert client.get(f"/v1/batches/{batch['id']}").json()["status"] == "in_progress"
        assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
