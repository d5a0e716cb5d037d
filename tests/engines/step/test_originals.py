"""Every family against transformers' own model, where torch and transformers are installed: `make test-originals`."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from load_tests.step import originals

MOST_FROM_ROUNDED = 0.015
"""What rounding activations to int8 and the cache to half precision comes to on these models, with room."""


@pytest.mark.filterwarnings("ignore")  # what torch and transformers warn of is theirs
@pytest.mark.parametrize("name", originals.ORIGINALS)
def test_it_computes_what_the_original_computes(name: str, compiled: Any, tmp_path: Path) -> None:
    found = originals.compare(name, tmp_path)
    assert found.from_rounded < MOST_FROM_ROUNDED
    assert found.greedy + found.undecided == originals.GREEDY_TOKENS
    assert found.greedy > 0.8 * originals.GREEDY_TOKENS
    for setting, far in found.without.items():
        assert far > 2 * found.from_rounded, f"leaving out {setting} would not be noticed"
