"""`pip wheel .` makes one file that serves: the compiled engine and the shipped models are inside."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.engines.step.support import core
from tests.server_process import serving

ROOT = Path(__file__).parents[1]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
ASK = [{"role": "user", "content": "I need a table for two."}]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel, and beside it only what the wheel depends on."""
    home = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", home, ROOT], check=True)
    [wheel] = home.glob("*.whl")
    venv.create(home / "env", symlinks=True)
    made = home / "env" / "bin" / "python"
    subprocess.run([*PIP, "--python", made, "install", "--no-deps", "--no-index", wheel], check=True)
    [site] = (home / "env").glob("lib/python*/site-packages")
    # A path alone: the hook of the editable install, which would find the sources here, is not read.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return made


@pytest.fixture(scope="module")
def client(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    empty = tmp_path_factory.mktemp("empty")
    with serving(python=str(python), cwd=empty) as served, served.client() as http:
        yield http
    assert list(empty.iterdir()) == []


def said(python: Path, code: str, folder: Path) -> str:
    return subprocess.run([python, "-c", code], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_wheel_brings_its_own_code_and_its_compiled_engine(python: Path, tmp_path: Path) -> None:
    code = "import server; from server.engines.step.support import core; print(server.__file__, core() is not None)"
    where, compiled = said(python, code, tmp_path).split()
    assert Path(where).is_relative_to(python.parents[1])
    assert compiled == str(core() is not None)


def test_the_wheel_answers_every_shipped_task_from_an_empty_folder(client: httpx.Client) -> None:
    chat = client.post("/v1/chat/completions", json={"model": "assistant", "messages": ASK, "max_tokens": 8}).json()
    assert chat["usage"]["completion_tokens"] > 0
    translated = client.post("/v1/translations", json={"input": "Good morning.", "target": "de"}).json()
    assert translated["data"][0]["text"] == "Guten Morgen."
    told = client.post("/v1/sentiment", json={"input": "I love this place."}).json()
    assert told["data"][0]["label"] == "positive"
