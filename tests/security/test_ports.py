"""The routes on each port."""

import socket
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.server_process import LIMIT_S

pytestmark = pytest.mark.anyio


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_metrics_can_have_a_port_of_their_own_and_are_then_nowhere_else(listening: Any, free_port: int) -> None:
    key = "ab" * 32
    async with listening(metrics_port=free_port, api_keys=(key,)) as server, httpx.AsyncClient() as client:
        scraped = await client.get(f"http://127.0.0.1:{free_port}/metrics")
        assert scraped.status_code == 200
        assert "hearth_build_info" in scraped.text
        for path in ("/", "/v1/models", "/health", "/openapi.json", "/docs"):
            lost = await client.get(f"http://127.0.0.1:{free_port}{path}")
            assert (lost.status_code, lost.json()["error"]["code"]) == (404, "unknown_url")
        main = await client.get(f"http://127.0.0.1:{server.port}/metrics", headers={"authorization": "Bearer x"})
        assert main.status_code == 401
    async with listening(metrics_port=free_port) as server, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{server.port}/metrics")).status_code == 404
        described = (await client.get(f"http://127.0.0.1:{server.port}/openapi.json")).json()
        assert "/metrics" not in described["paths"]


async def test_an_idle_connection_is_kept_for_a_fraction_of_a_second_too(listening: Any) -> None:
    async with listening(keep_alive_s=0.5) as server:
        assert server.server.config.timeout_keep_alive == 0.5


def test_the_server_ends_when_the_port_for_metrics_is_taken(free_port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        command = [sys.executable, "-m", "server", "serve", "--port", "0", "--metrics-port", str(free_port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1
    assert f"metrics cannot be served on 127.0.0.1:{free_port}" in done.stderr
    assert "listens" not in done.stdout
