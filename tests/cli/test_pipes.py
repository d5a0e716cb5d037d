"""The commands in a pipeline."""

import subprocess
import sys


def test_a_reader_that_leaves_early_gets_no_traceback_in_its_way() -> None:
    command = [sys.executable, "-m", "server", "doctor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 1
