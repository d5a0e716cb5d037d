"""Servers behind a real HAProxy are replaced in turn under load: no request fails and no stream is cut."""

import asyncio
import csv
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.server_process import LIMIT_S, Served, free_port, serving

pytestmark = pytest.mark.anyio

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NOTICE_S = "2"
"""Twenty of HAProxy's checks: it has seen the 503 of /ready long before new work is refused."""
EVERY_S = 0.05
STREAM = {"messages": [{"role": "user", "content": "Hello"}], "stream": True, "max_tokens": 20, "model": "assistant"}

CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 10s
frontend all
    bind 127.0.0.1:{port}
    stats uri /haproxy
    default_backend hearth
backend hearth
    balance roundrobin
    option httpchk GET /ready
    default-server check inter 100ms fall 1 rise 1
{servers}
"""


@contextmanager
def balancing(ports: list[int], folder: Path) -> Iterator[str]:
    """HAProxy over servers at these ports; its address."""
    port = free_port()
    servers = "\n".join(f"    server s{number} 127.0.0.1:{number}" for number in ports)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(CONFIGURATION.format(port=port, servers=servers))
    with subprocess.Popen([str(HAPROXY), "-db", "-f", configuration], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@contextmanager
def replacing(port: int) -> Iterator[Served]:
    """A server at this port that gives notice."""
    flags = ("--port", str(port), "--models", "assistant,sentiment", "--drain-notice-s", NOTICE_S)
    with serving(*flags) as served:
        yield served


async def ask(client: httpx.AsyncClient, number: int) -> str:
    """Ask for one answer; how that ended, in a word or two."""
    try:
        if number % 2:
            answer = await client.post("/v1/sentiment", json={"input": f"I love number {number}."})
            return "answered" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"
        async with client.stream("POST", "/v1/chat/completions", json=STREAM) as stream:
            lines = [line async for line in stream.aiter_lines() if line]
        if stream.status_code != 200:
            return f"{stream.status_code} {lines}"
        whole = lines[-1] == "data: [DONE]" and not any("error" in json.loads(line[6:]) for line in lines[:-1])
        return "streamed" if whole else "cut"
    except httpx.HTTPError as error:
        return repr(error)


async def up(client: httpx.AsyncClient) -> list[str]:
    """The servers that HAProxy sends requests to, by its table of statistics."""
    try:
        table = (await client.get("/haproxy;csv")).text
    except httpx.ConnectError:  # it does not listen yet
        return []
    rows = csv.DictReader(table.removeprefix("# ").splitlines())
    return [f"{row['pxname']},{row['svname']}" for row in rows if row["status"].startswith("UP")]


async def test_servers_are_replaced_under_load_without_a_failed_request(tmp_path: Path) -> None:
    if HAPROXY is None:
        assert not os.environ.get("CI"), "haproxy is needed here"
        pytest.skip("no haproxy")
    ports = [free_port() for _ in range(3)]
    with ExitStack() as everything:
        stacks = [everything.enter_context(ExitStack()) for _ in ports]
        servers = [stack.enter_context(replacing(port)) for stack, port in zip(stacks, ports, strict=True)]
        url = everything.enter_context(balancing(ports, tmp_path))
        replaced = asyncio.Event()

        async def put_load(client: httpx.AsyncClient) -> list[str]:
            asked = []
            while not replaced.is_set():  # open loop: the next request does not wait for an answer
                asked.append(asyncio.create_task(ask(client, len(asked))))
                await asyncio.sleep(EVERY_S)
            return await asyncio.gather(*asked)

        async def until_up(client: httpx.AsyncClient, port: int) -> None:
            async with asyncio.timeout(LIMIT_S):
                while f"hearth,s{port}" not in await up(client):  # noqa: ASYNC110  # HAProxy can only be asked
                    await asyncio.sleep(EVERY_S)

        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S, limits=limits) as client:
            for port in ports:
                await until_up(client, port)
            load = asyncio.create_task(put_load(client))
            for number, (stack, port) in enumerate(zip(stacks, ports, strict=True)):
                servers[number].terminate()
                assert await asyncio.to_thread(servers[number].process.wait, LIMIT_S) == 0
                await asyncio.to_thread(stack.close)
                servers[number] = await asyncio.to_thread(stack.enter_context, replacing(port))
                await until_up(client, port)
            replaced.set()
            ended = Counter(await load)
    assert set(ended) == {"answered", "streamed"}, ended
    assert min(ended.values()) > 10
