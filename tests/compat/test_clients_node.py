"""The official client for Node against a real server. Run by `make test-clients`, which installs it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server_process import Served

ROOT = Path(__file__).parents[2]
PACKAGES = Path(os.environ.get("NODE_CLIENTS", ROOT / "build" / "node-clients"))
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (PACKAGES / "node_modules" / "openai").is_dir(),
    reason="Node or its openai package is missing: `make test-clients` installs the package",
)


def test_the_clients_own_checks_pass(server: Served, tmp_path: Path) -> None:
    assert NODE is not None
    # Node looks for packages beside the script and above it.
    shutil.copy(Path(__file__).with_name("openai_node.mjs"), tmp_path)
    (tmp_path / "node_modules").symlink_to(PACKAGES / "node_modules")
    command = [NODE, "openai_node.mjs", f"{server.url}/v1"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "ok 8"
