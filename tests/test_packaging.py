"""The lock files, and the packages that they install."""

import ast
import importlib.metadata
import importlib.util
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from models.extras import how_to_install
from tests.test_repository import texts

ROOT = Path(__file__).parent.parent
LOCKS = ("build", "run", "dev", "convert", "train")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)( ; (.+?))? \\$", re.MULTILINE)


def lock_text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def pins(name: str) -> dict[str, set[str]]:
    """The versions of every package of a lock; several where they differ by Python version."""
    found: dict[str, set[str]] = {}
    for package, version, _, _ in PIN.findall(lock_text(name)):
        found.setdefault(package, set()).add(version)
    return found


def asked_for(name: str) -> list[Requirement]:
    """What pyproject.toml asks for directly and a lock must therefore hold."""
    groups = PROJECT["dependency-groups"]
    direct = groups["build"] if name == "build" else PROJECT["project"]["dependencies"] + groups.get(name, [])
    return [Requirement(line) for line in direct]


@pytest.mark.parametrize("package", ["server", "models"])
def test_no_dependency_owns_the_name_of_a_package_of_ours(package: str) -> None:
    owners = importlib.metadata.packages_distributions().get(package, [])
    assert set(owners) <= {"hearth-server"}  # an editable install may own no file of it
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin == str(ROOT / package / "__init__.py")


@pytest.mark.parametrize("package", ["server", "models"])
def test_no_module_of_ours_has_a_name_of_the_standard_library(package: str) -> None:
    names = {path.stem for path in (ROOT / package).iterdir() if not path.stem.startswith("__")}
    # server.http is imported by its whole name alone: the folder server is never on the path (test_shadowing).
    assert names & sys.stdlib_module_names <= {"http"}


def test_the_hearth_command_is_installed() -> None:
    [command] = importlib.metadata.entry_points(group="console_scripts", name="hearth")
    assert callable(command.load())


def imported() -> set[str]:
    """The packages of others that a server or a command imports, anywhere in a module."""
    files = [file for folder in ("server", "models") for file in (ROOT / folder).rglob("*.py")]
    nodes = [
        node for file in files if "recipes" not in file.parts for node in ast.walk(ast.parse(file.read_text("utf-8")))
    ]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"server", "models"}


def test_every_package_that_is_imported_is_asked_for() -> None:
    """And does not come along with another one, until that one drops it."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    distributions = importlib.metadata.packages_distributions()
    where_not_installed = {"eldc": ["eldc"], "torch": ["torch"], "transformers": ["transformers"]}
    for package in imported():
        names = distributions.get(package) or where_not_installed[package]
        assert {canonicalize_name(name) for name in names} & declared, package


@pytest.mark.parametrize("package", ["h11", "uvicorn"])
def test_what_is_subclassed_keeps_to_the_versions_that_were_tried(package: str) -> None:
    [asked] = [each for each in asked_for("run") if each.name == package]
    major, minor = (int(part) for part in importlib.metadata.version(package).split(".")[:2])
    assert asked.specifier.contains(f"{major}.{minor}.99")
    assert not asked.specifier.contains(f"{major}.{minor + 1}")


OUR_NAME = re.compile(r"""(pip|pipx|uv)\b[^\n`]*\s['"]?hearth-server\b""")


def test_nobody_is_told_to_install_a_name_that_is_not_ours() -> None:
    """`hearth-server` is on no package index: what somebody puts there under that name would be installed."""
    assert OUR_NAME.search("pip install 'hearth-server[convert]'")
    assert [name for name, text in texts() if name != "tests/test_packaging.py" and OUR_NAME.search(text)] == []


@pytest.mark.parametrize("extra", PROJECT["project"]["optional-dependencies"])
def test_what_to_install_for_an_extra_is_what_it_asks_for(extra: str) -> None:
    words = shlex.split(how_to_install(extra))
    assert words == ["pip", "install", *PROJECT["project"]["optional-dependencies"][extra]]


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes(name: str) -> None:
    for line in filter(None, lock_text(name).splitlines()):
        is_hash = re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?", line)
        assert is_hash or PIN.fullmatch(line) or line.lstrip().startswith("#"), line


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_pyproject_asks_for(name: str) -> None:
    locked = pins(name)
    for requirement in asked_for(name):
        if requirement.name == "torch":
            continue  # requirements/torch.txt says why it is not locked
        versions = locked.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement} is not in requirements/{name}.txt: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), (requirement, versions)


@pytest.mark.parametrize("name", ["dev", "convert", "train"])
def test_all_locks_agree_with_what_a_server_runs_on(name: str) -> None:
    assert pins("run").items() <= pins(name).items()


def test_the_build_backend_is_the_one_that_is_locked() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["build"])


@pytest.mark.parametrize("group", ["convert", "train"])
def test_the_pin_of_torch_is_the_same_everywhere(group: str) -> None:
    [torch] = [line for line in PROJECT["dependency-groups"][group] if line.startswith("torch")]
    assert torch in lock_text("torch").splitlines()


def test_a_server_needs_neither_torch_nor_transformers() -> None:
    assert not {"torch", "transformers", "scikit-learn", "ray"} & pins("run").keys()
