"""A real server, and a real Prometheus that scrapes it with the shipped configuration."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.server_process import LIMIT_S, Served, serving

DEPLOY = Path(__file__).parents[2] / "deploy"
SETTLED_S = 30.0  # a rate needs two scrapes, half a second apart; the rest is room for a busy machine

SENTIMENT = {"model": "sentiment", "input": ["I love it.", "It broke after two days and nobody answers."]}
TRANSLATION = {"model": "translate", "input": "Where is the station?", "source": "en", "target": "de"}
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": "I need a table for two."}], "max_tokens": 16}
LONG_TRANSLATION = {**TRANSLATION, "input": "We have a long way to go. " * 40}


def _tool(name: str) -> str:
    """A program of Prometheus. Without it a person's run skips what needs it; the continuous integration fails."""
    if path := shutil.which(name):
        return path
    missing = f"{name} is not installed: it comes with Prometheus (Debian's package `prometheus`)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def promtool() -> str:
    return _tool("promtool")


class Prometheus:
    """A running Prometheus and its HTTP interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer; fails on an error, for example one in an expression."""
        body = httpx.get(f"{self.url}/api/v1/{path}", params=parameters).json()
        assert body["status"] == "success", body
        return body["data"]

    def values(self, expression: str) -> list[float]:
        """The values of an expression now, without those that are no number."""
        result = self.get("query", query=expression)["result"]
        numbers = [float(series["value"][1]) for series in result]
        return [number for number in numbers if number == number]


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Every shipped model, with a line so short that it can be seen full."""
    with serving("--queue-rows", "64", "--unknown-fields", "ignore") as server:
        yield server


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[Prometheus]:
    """The shipped configuration, but for the target's address and with a scrape every half second."""
    program, folder = _tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [served.url.removeprefix("http://")]}]
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    file, log = folder / "prometheus.yml", folder / "log"
    file.write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
    with log.open("wb") as output:
        process = subprocess.Popen([program, *options], stdout=output, stderr=subprocess.STDOUT)
    try:
        end_s = time.monotonic() + LIMIT_S
        while not _answers(f"http://{address}/-/ready"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.05)  # another program has no event to await
        yield Prometheus(f"http://{address}")
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url).status_code == 200
    return False


def a_little_of_everything(served: Served) -> None:
    """Answers of every kind, an error, a refusal, and a client that leaves."""
    requests = [
        ("/v1/sentiment", SENTIMENT),
        ("/v1/sentiment", {**SENTIMENT, "mood": "any"}),
        ("/v1/translations", TRANSLATION),
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
    ] * 6
    with served.client() as client, ThreadPoolExecutor(8) as threads:

        def status(request: tuple[str, dict[str, Any]]) -> int:
            return client.post(request[0], json=request[1]).status_code

        assert list(threads.map(status, requests)) == [200] * len(requests)
        assert status(("/v1/sentiment", {**SENTIMENT, "input": ["One text more than fits."] * 65})) in {413, 429}
        assert status(("/v1/chat/completions", {**CHAT, "max_tokens": 0})) == 400
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/translations", json=LONG_TRANSLATION, timeout=httpx.Timeout(60, read=0.02))
        line = {"custom_id": "a", "method": "POST", "url": "/v1/sentiment", "body": SENTIMENT}
        file = client.post("/v1/files", files={"file": ("a.jsonl", json.dumps(line))}, data={"purpose": "batch"}).json()
        batch = {"input_file_id": file["id"], "endpoint": "/v1/sentiment", "completion_window": "24h"}
        assert status(("/v1/batches", batch)) == 200


@pytest.fixture(scope="session")
def under_load(served: Served, prometheus: Prometheus) -> Prometheus:
    """Prometheus, having seen every series begin and then grow: only of those there are rates and means."""
    end_s = time.monotonic() + SETTLED_S
    begun = ("hearth_e2e_request_latency_seconds_count", "hearth_client_disconnected_total", "hearth_batches_total")
    while not all(prometheus.values(metric) for metric in begun):
        assert time.monotonic() < end_s, scraped(served)
        a_little_of_everything(served)
    a_little_of_everything(served)
    return prometheus


def scraped(served: Served) -> str:
    with served.client() as client:
        return client.get("/metrics").text
