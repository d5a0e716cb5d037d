"""The servers that tests start do not outlive the tests."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server_process import LIMIT_S

PARENT = """
import signal
from tests.server_process import serving

with serving("--models", "sentiment") as served:
    print(served.process.pid, flush=True)
    signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a signal of Linux's")
def test_a_server_ends_with_the_tests_whatever_ends_them() -> None:
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        server = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([server], [], [], LIMIT_S)
        os.close(server)
        assert ended
