"""If a machine lacks a feature of Linux, the server names the missing feature; if it cannot run, it says why."""

import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.cli import main
from server.machine import lacks

ELSEWHERE = """
import os, psutil, signal, sys
sys.modules["resource"] = None
del signal.SIGHUP, os.sched_getaffinity
from server.cli import main
sys.exit(main(["serve", "--port", "0", "--models", "embed"]))
"""
"""A server on a machine without these."""


def test_a_server_without_what_linux_has_serves_and_says_what_it_does_without() -> None:
    command = [sys.executable, "-c", ELSEWHERE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        lines = []
        for line in server.stdout:
            lines.append(line)
            if line.startswith("Ready."):
                server.send_signal(signal.SIGTERM)
    said = "".join(lines)
    assert server.returncode == 0, said
    assert "embedding       " in said
    assert "failed" not in said
    for sentence in ("affinity is not known", "limit on open files", "no SIGHUP"):
        assert sentence in said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere something may be missing")
def test_on_linux_nothing_is_missing() -> None:
    assert list(lacks()) == []


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_on_windows_the_reason_is_said_and_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path, command: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert main([command, "--models-dir", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "needs Linux or macOS" in said.out + said.err
    assert "WSL 2" in said.out + said.err
