"""Packages that some commands need beyond those of a server, and the command that installs them."""

import re
import shlex
from importlib.metadata import PackageNotFoundError, requires

_EXTRA = re.compile(r"\bextra == ['\"]([\w-]{1,100})['\"]")


def how_to_install(extra: str) -> str:
    """The command that installs an extra's packages into this environment.

    The command names the packages themselves, as our own metadata lists them, and not `hearth-server`: no package index
    has that project, so somebody else could publish a package under its name.
    """
    try:
        lines = requires("hearth-server") or []
    except PackageNotFoundError:  # no installer put the code here
        return f"what pyproject.toml lists as the extra '{extra}'"
    parts = [line.partition(";") for line in lines]
    found = [package.strip() for package, _, marker in parts if extra in _EXTRA.findall(marker)]
    return f"pip install {shlex.join(found)}"
