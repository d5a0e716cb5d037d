"""docs/clients.md names every test of a client, and only tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPAT = ROOT / "tests" / "compat"


def named() -> set[str]:
    """Names of tests on the page, relative to tests/compat; ``*`` stands for any characters."""
    page = (ROOT / "docs" / "clients.md").read_text("utf-8")
    return set(re.findall(r"`((?:node/)?[\w*]+\.(?:py|mjs))`", page))


def test_every_test_that_the_page_names_is_there() -> None:
    assert {pattern for pattern in named() if not list(COMPAT.glob(pattern))} == set()


def test_every_clients_test_is_on_the_page() -> None:
    shown = {path for pattern in named() for path in COMPAT.glob(pattern)}
    # test_clients_node.py runs the scripts, and the page names the scripts.
    tests = {*COMPAT.glob("test_clients_*.py"), *COMPAT.glob("test_agents_*.py")} - {COMPAT / "test_clients_node.py"}
    scripts = {path for path in COMPAT.glob("node/*.mjs") if path.name != "checks.mjs"}
    assert {path.name for path in (tests | scripts) - shown} == set()


def test_every_script_for_node_is_run() -> None:
    runner = (COMPAT / "test_clients_node.py").read_text("utf-8")
    scripts = {path.stem for path in COMPAT.glob("node/*.mjs")} - {"checks"}
    assert {script for script in scripts if f'("{script}", ' not in runner} == set()
