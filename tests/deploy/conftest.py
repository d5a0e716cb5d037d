"""A real server, and a real Prometheus that scrapes it with the shipped configuration."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.server_process import LIMIT_S, Served, serving

DEPLOY = Path(__file__).parents[2] / "deploy"


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
    config["rule_files"] = [str(DEPLOY / "prometheus/alerts.yml")]
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
