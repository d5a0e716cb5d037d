"""Runs this folder's tests against another build of the core: ``python -m tests.engines.step.sanitized BUILD [ARGS]``.

``make sanitize`` builds the core with the address and undefined-behaviour sanitizers and comes here. Their run-time
library must be there before Python starts, hence LD_PRELOAD in the Makefile; leaks are not looked for, as Python
itself never frees all at exit.
"""

import sys
from pathlib import Path

import pytest

from load_tests.step.builds import use_build


def main() -> int:
    """Load the other core under the usual name, then run the tests."""
    use_build(Path(sys.argv[1]))
    return pytest.main([str(Path(__file__).parent), "-q", "-p", "no:cacheprovider", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
