import os
import shutil

import pytest


def tool(name: str) -> str:
    """A program of Prometheus. Without it a person's run skips what needs it; the continuous integration fails."""
    if path := shutil.which(name):
        return path
    missing = f"{name} is not installed: it comes with Prometheus (Debian's package `prometheus`)"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def promtool() -> str:
    return tool("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return tool("prometheus")
