"""Ten thousand idle connections to a real server: it answers working clients, and its memory stays bounded."""

import os
import resource
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle

import pytest

from server.http.connection import RESERVED_FILES
from server.machine import resident_bytes
from tests.server_process import serving

MOST = 10_000
"""What ``max_connections`` allows by default."""
SOURCES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
"""Each has some 28,000 ports of its own, of which others on this machine have taken some."""
CONNECTION_BYTES = 12_000
"""4,000 were measured; the kernel's buffers are not among them."""


@contextmanager
def room_for_files(wanted: int) -> Iterator[int]:
    """As many more open files as are wanted, or as the machine allows; how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd")) + RESERVED_FILES
    most = used + wanted if hard == resource.RLIM_INFINITY else min(hard, used + wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield most - used
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one loopback address, and no /proc")
def test_ten_thousand_idle_connections_keep_nobody_from_being_served() -> None:
    with ExitStack() as held:
        count = held.enter_context(room_for_files(MOST))
        # A connection without a word is closed after 20 s by default: here they stay, as if they were made anew.
        flags = ("--models", "sentiment", "--max-connections", str(count), "--header-timeout-s", "600")
        served = held.enter_context(serving(*flags))
        client = held.enter_context(served.client())

        def ask() -> float:
            return client.post("/v1/sentiment", json={"input": "I love it."}).json()["data"][0]["scores"]["positive"]

        assert ask() > 0.5
        client.close()
        before = resident_bytes(served.process.pid)
        port, idle, poll = int(served.url.rpartition(":")[2]), [], select.poll()
        for _, source in zip(range(count), cycle(SOURCES), strict=False):
            each = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
            idle.append(held.enter_context(each))
            poll.register(each, select.POLLIN)
        client = held.enter_context(served.client())
        assert ask() > 0.5
        assert len(poll.poll(0)) == 1, "the longest idle has made room for the one that works, and no other has"
        assert ask() > 0.5
        assert len(poll.poll(0)) == 1
        assert resident_bytes(served.process.pid) - before < count * CONNECTION_BYTES
