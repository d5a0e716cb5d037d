"""What is installed, and from what: the lock files and the packages they bring."""

import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    assert not names & sys.stdlib_module_names


def test_the_hearth_command_is_installed() -> None:
    [command] = importlib.metadata.entry_points(group="console_scripts", name="hearth")
    assert callable(command.load())


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
