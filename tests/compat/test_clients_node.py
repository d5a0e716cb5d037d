"""Clients for Node against a real server: the scripts in ``node/``. Run by `make test-clients`, which installs them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server_process import Served

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).with_name("node")
PACKAGES = Path(os.environ.get("NODE_CLIENTS", ROOT / "build" / "node-clients")) / "node_modules"
NODE = shutil.which("node")


@pytest.mark.parametrize(
    ("script", "package"),
    [
        ("openai", "openai"),
        ("openai_batches", "openai"),
        ("anthropic", "@anthropic-ai/sdk"),
        ("ollama", "ollama"),
        ("cohere", "cohere-ai"),
        ("langchain", "langchain"),
        ("ai_sdk", "ai"),
        ("deepl", "deepl-node"),
    ],
)
def test_the_clients_checks_pass(server: Served, tmp_path: Path, script: str, package: str) -> None:
    if NODE is None or not (PACKAGES / package).is_dir():
        pytest.skip("Node or its packages are missing: `make test-clients` installs the packages")
    # Node searches for packages beside the script and in the folders above.
    shutil.copytree(SCRIPTS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    command = [NODE, f"{script}.mjs", server.url]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("ok ")
