"""A real server and a real Prometheus that scrapes it, each a process of its own on a free port of loopback."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DEADLINE_S = 120.0  # several times what two busy cores need to load every shipped model
POLL_S = 0.05  # another process has no event to await


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


@contextmanager
def _process(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to a file; at the end it is asked to stop, and has to stop well."""
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        yield child
        child.terminate()
        assert child.wait(60) == 0, log.read_text()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def _wait(child: subprocess.Popen[bytes], log: Path, url: str | None = None) -> str:
    """Wait until the process names its address, or until the one given answers 200; returns it."""
    end_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_s:
        assert child.poll() is None, log.read_text()
        if url is None:
            if said := re.search(r"listens on (http://\S+)", log.read_text()):
                return said[1]
        else:
            with suppress(httpx2.TransportError):
                if httpx2.get(url).status_code == 200:
                    return url
        time.sleep(POLL_S)
    raise AssertionError(log.read_text())


class Server:
    """A running server, seen from outside."""

    def __init__(self, address: str) -> None:
        self.address = address

    def post(self, path: str, body: dict[str, Any]) -> int:
        """The status of an answer, read to its end."""
        return httpx2.post(f"{self.address}{path}", json=body, timeout=60).status_code

    def post_and_leave(self, path: str, body: dict[str, Any]) -> None:
        """Send a request and go before its answer."""
        content = json.dumps(body).encode()
        host, port = self.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json"
            connection.sendall(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)

    def metrics(self) -> str:
        """What a scrape reads."""
        return httpx2.get(f"{self.address}/metrics").text


class Prometheus:
    """A running Prometheus and its HTTP interface."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer; fails on an error, for example one in an expression."""
        body = httpx2.get(f"{self.address}/api/v1/{path}", params=parameters).json()
        assert body["status"] == "success", body
        return body["data"]

    def values(self, expression: str) -> list[float]:
        """The values of an expression now, without those that are no number."""
        result = self.get("query", query=expression)["result"]
        numbers = [float(series["value"][1]) for series in result]
        return [number for number in numbers if number == number]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``hearth serve`` with every shipped model, ready, and with a line so short that it can be seen full."""
    log = tmp_path_factory.mktemp("server") / "log"
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    command = [sys.executable, "-m", "server", "serve", "--port", "0", "--queue-rows", "64"]
    with _process(command, log, env) as child:
        address = _wait(child, log)
        _wait(child, log, f"{address}/ready")
        yield Server(address)


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Prometheus]:
    """The shipped configuration, but for the target's address and with a scrape every half second."""
    program, folder = _tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [server.address.removeprefix("http://")]}]
    config["rule_files"] = [str(DEPLOY / "prometheus/alerts.yml")]
    file, log = folder / "prometheus.yml", folder / "log"
    file.write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
    with _process([program, *options], log) as child:
        _wait(child, log, f"http://{address}/-/ready")
        yield Prometheus(f"http://{address}")
