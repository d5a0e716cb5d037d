"""Files in the working directory that have the names of modules are not run: here with an install as of a wheel."""

import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = """
from server.engines.kinds import EngineSpec
from server.engines.process.supervisor import ProcessEngine
engine = ProcessEngine(EngineSpec("fake"))
engine.load()
print("engine", "ready" if engine.wait_ready() else engine.reason)
engine.close()
"""
SCRIPT = "import sys\nfrom server.cli import main\nsys.exit(main())\n"
"""What an installer makes of the entry point."""
NAMES = ("models", "json", "numpy", "resource", "pathlib")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has our packages as files: the hook of an editable install would find them first."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "env", symlinks=True)
    (home / "ours").mkdir()
    for package in ("server", "models"):
        (home / "ours" / package).symlink_to(ROOT / package)
    [site] = (home / "env").glob("lib/python*/site-packages")
    (site / "paths.pth").write_text(f"{home / 'ours'}\n{sysconfig.get_path('purelib')}\n")
    (home / "env/bin/hearth").write_text(f"#!{home / 'env/bin/python'}\n{SCRIPT}")
    (home / "env/bin/hearth").chmod(0o755)
    return home / "env/bin/python"


@pytest.fixture
def full_of_names(tmp_path: Path) -> Path:
    for name in (*NAMES, "server"):
        (tmp_path / f"{name}.py").write_text(f'raise SystemExit("{name}.py was run")\n')
    return tmp_path


def said(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_engine_is_ours_wherever_it_is_started(python: Path, full_of_names: Path) -> None:
    assert said(full_of_names, python, "-P", "-c", ENGINE) == "engine ready\n"


def test_the_command_is_ours_wherever_it_is_started(python: Path, full_of_names: Path) -> None:
    assert "sentiment     ok" in said(full_of_names, python.with_name("hearth"), "doctor")


def test_the_package_that_is_run_takes_nothing_else_from_where_it_is_started(python: Path, full_of_names: Path) -> None:
    """Its own name is Python's to find: that is what -P is for."""
    assert "sentiment     ok" in said(full_of_names, python, "-P", "-m", "server", "doctor")
    (full_of_names / "server.py").unlink()
    assert "sentiment     ok" in said(full_of_names, python, "-m", "server", "doctor")
