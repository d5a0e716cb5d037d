"""A real server for a load test: started, waited for, watched from outside, stopped.

Knows the command line and ``/ready``; everything else of the server is a black box with processes.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

START_LIMIT_S = 120.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    port: int
    pid: int

    @property
    def engines(self) -> list[int]:
        """The processes of its engines."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()] + [
            int(pid)
            for task in Path(f"/proc/{self.pid}/task").iterdir()
            if task.name != str(self.pid)
            for pid in (task / "children").read_text().split()
        ]

    @property
    def engine_names(self) -> dict[int, str]:
        """Which model each engine serves."""
        return {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[3].decode() for pid in self.engines}

    @property
    def cpu_s(self) -> dict[int, float]:
        """Processor time of each of its processes since their start, the HTTP process first."""
        return {pid: cpu_s(pid) for pid in (self.pid, *self.engines)}


@contextmanager
def server(models: Sequence[str] = (), *flags: str) -> Iterator[Served]:
    """Serve on a free port until the block ends.

    Raises:
        RuntimeError: it did not get ready.
    """
    port = _free_port()
    named = ["--models", ",".join(models)] if models else []
    command = [sys.executable, "-m", "server", "serve", "--port", str(port), "--log-level", "error", *named, *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_ready(process, port)
        yield Served(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def cpu_s(pid: int) -> float:
    """Processor time of one process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_bytes(pid: int) -> int:
    """Memory of one process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end_s = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < end_s:
        try:
            with urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError("the server did not get ready")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
