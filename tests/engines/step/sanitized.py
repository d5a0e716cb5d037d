"""Runs this folder's tests against another build of the core: ``python -m tests.engines.step.sanitized BUILD [ARGS]``.

``make sanitize`` builds the core with the address and undefined-behaviour sanitizers and comes here. Their run-time
library must be there before Python starts, hence LD_PRELOAD in the Makefile; leaks are not looked for, as Python
itself never frees all at exit.
"""

import importlib.util
import sys
from pathlib import Path

import pytest


def main() -> int:
    """Load the other core under the usual name, then run the tests."""
    name = "server.engines.step._core"
    (library,) = Path(sys.argv[1]).glob("_core*.so")
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return pytest.main([str(Path(__file__).parent), "-q", "-p", "no:cacheprovider", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
