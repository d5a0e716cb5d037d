"""A real `hearth serve` in a process of its own, for tests that need a process."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

LIMIT_S = 60.0
BOUND = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes another program that ends with its parent, whatever ends the parent: also when pytest itself is killed."""


@dataclass
class Served:
    """The process, where it listens, and what it says."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)
    said: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it has said a line that matches."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self.said:
            self.said.wait_for(lambda: found() or self.process.poll() is not None, LIMIT_S)
        match = found()
        assert match, f"it did not say {pattern!r}:\n" + "".join(self.lines)
        return match

    def engine(self, model: str) -> int | None:
        """The process id of a model's engine."""
        for pid in self.children():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if model.encode() in words:
                return pid
        return None

    @contextmanager
    def frozen(self, model: str) -> Iterator[None]:
        """The model's engine stands still: a row that is at work stays there, however fast the machine is."""
        pid = self.engine(model)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):  # killed meanwhile
                os.kill(pid, signal.SIGCONT)

    def children(self) -> list[int]:
        """Its child processes."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    def client(self) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=LIMIT_S)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def serving(
    *flags: str, models_dir: Path | None = None, python: str = "", cwd: Path = Path(__file__).parents[1]
) -> Iterator[Served]:
    """Serve on a free port until the block ends; waits until every model has loaded or failed.

    Args:
        flags: of `hearth serve`.
        models_dir: its setting.
        python: the interpreter that has the server; the tests' own by default.
        cwd: the folder that the server starts in.
    """
    # Clients that cannot share an environment with the server run the tests in one of their own.
    python = python or os.environ.get("SERVER_PYTHON", sys.executable)
    bound = [python, "-c", BOUND, str(os.getpid())] if sys.platform == "linux" else []
    command = [*bound, python, "-m", "server", "serve", "--port", "0", *flags]
    if models_dir is not None:
        command += ["--models-dir", str(models_dir)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    data = tempfile.mkdtemp(prefix="hearth-data-")  # a data folder belongs to one server; a flag wins over this one
    environment["HEARTH_DATA_DIR"] = data
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=cwd,
    )
    served = Served(process)

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with served.said:
                served.lines.append(line)
                served.said.notify_all()
        process.wait()
        with served.said:
            served.said.notify_all()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        served.url = served.wait_for(r"listens on (http://\S+)")[1]
        served.wait_for(r"^Ready")
        yield served
    finally:
        if process.poll() is None:
            process.kill()
        listener.join(LIMIT_S)
        if process.stdout is not None:
            process.stdout.close()
        shutil.rmtree(data, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
