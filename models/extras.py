"""What some commands want beyond what a server runs on, and the command that installs it."""

import re
import shlex
from importlib.metadata import PackageNotFoundError, requires

_EXTRA = re.compile(r"\bextra == ['\"]([\w-]{1,100})['\"]")


def how_to_install(extra: str) -> str:
    """The command that installs an extra's packages into this environment.

    It names the packages themselves, as our own metadata lists them. `hearth-server` is on no package index: whoever
    takes the name there could be installed by a command with it.
    """
    try:
        lines = requires("hearth-server") or []
    except PackageNotFoundError:  # the code was put here by other means than an installer
        return f"what pyproject.toml lists as the extra '{extra}'"
    parts = [line.partition(";") for line in lines]
    found = [package.strip() for package, _, marker in parts if extra in _EXTRA.findall(marker)]
    return f"pip install {shlex.join(found)}"
