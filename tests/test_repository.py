"""What is committed: nothing that ties it to one machine, no file too long to read, no weights too large to fetch."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WEIGHTS_LIMIT_BYTES = 160_000_000
MODULE_LIMIT_LINES = 400

# Written in pieces, so that this file does not find itself.
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org",
         "download.pytorch" + ".org", "docker" + ".io", "ghcr" + ".io", "quay" + ".io"]  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|root|home/\w+|Users/\w+)/\w")


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """Every committed text, but for vocabularies: their lines are data."""
    for path in committed():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("models/weights/") and path.suffix not in {".toml", ".md", ".jinja"}:
            continue
        try:
            yield name, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("host", HOSTS)
def test_no_file_names_a_package_registry(host: str) -> None:
    assert [name for name, text in texts() if host in text] == []


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [f"{name}: {match[0]}" for name, text in texts() if (match := MACHINE_PATH.search(text))]
    assert found == []


def test_no_module_is_longer_than_a_person_reads_at_once() -> None:
    lines = {name: text.count("\n") for name, text in texts() if name.endswith(".py")}
    assert {name: count for name, count in lines.items() if count > MODULE_LIMIT_LINES} == {}


def test_the_shipped_weights_stay_a_small_download() -> None:
    weights = ROOT / "models" / "weights"
    assert sum(path.stat().st_size for path in committed() if path.is_relative_to(weights)) < WEIGHTS_LIMIT_BYTES


def test_the_license_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize(
    ("given", "said"), [("", "make evaluate DATA=FOLDER"), ("no/such", "There is no folder no/such")]
)
def test_figures_without_data_are_refused_before_anything_is_installed(tmp_path: Path, given: str, said: str) -> None:
    environment = tmp_path / "environment"
    command = ["make", "evaluate", f"DATA={given}", f"TRAIN_VENV={environment}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 2
    assert said in ran.stdout
    assert not environment.exists()


def test_a_module_that_became_a_package_is_installed_again_and_otherwise_nothing_is(tmp_path: Path) -> None:
    """An editable install maps the modules that it saw: one that has moved is looked for where it was."""
    for name in ("Makefile", "pyproject.toml", "requirements/build.txt", "requirements/run.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name in ("server/engines/step/core/core.cc", "server/rooms.py", "models/cards.py", "env/.made", "env/log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@" >>env/log\n')
    python.chmod(0o755)

    def installed() -> int:
        subprocess.run(["make", "VENV=env", "env/.run"], cwd=tmp_path, capture_output=True, check=True)
        return (tmp_path / "env" / "log").read_text().count("--editable")

    assert installed() == 1
    assert installed() == 1
    (tmp_path / "server" / "rooms").mkdir()
    (tmp_path / "server" / "rooms.py").rename(tmp_path / "server" / "rooms" / "__init__.py")
    assert installed() == 2
    assert installed() == 2


WORST = {
    "'be' for 'exist'": re.compile(r"\bbe i" + r"t\b(?! then)"),
    "a docstring that only refers": re.compile(r'^\s*"{3}See [^."]*\.?"{3}$', re.MULTILINE),
    "a docstring that begins without a noun": re.compile(r'^\s*"{3}(?:What|Who|So (?:much|many|long))\b', re.MULTILINE),
    "'what is' as a subject": re.compile(r"(?<=[.:] )What (?:is|was) (?!\w+\?)[a-z][^?.,\n]{2,60} (?:is|are|has|was) "),
}
"""The worst patterns of CONTRIBUTING's "Words". The rule is wider than what a pattern finds."""


@pytest.mark.parametrize("pattern", WORST)
def test_sentences_keep_to_the_rule_of_words(pattern: str) -> None:
    rooms = ("server/", "models/", "docs/", "load_tests/", "README.md", "ARCHITECTURE.md")
    found = [
        f"{name}: {match[0]}"
        for name, text in texts()
        if name.startswith(rooms) and name.endswith((".py", ".md", ".h", ".cc"))
        for match in WORST[pattern].finditer(text)
    ]
    assert found == []
