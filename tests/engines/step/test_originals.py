"""Every family against transformers' own model, where torch and transformers are installed: `make test-originals`."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from load_tests.step import originals

MOST_FROM_ROUNDED = 0.015
"""What rounding activations to int8 and the cache to half precision comes to on these models, with room."""

MOST_WITH_NORMS_BEHIND = 0.02
"""Where norms stand behind each half alone: they bring what a half gives to one size, and its rounding with it."""
NORMS_BEHIND = ("OLMo 2", "OLMo 3", "EXAONE 4")


@pytest.mark.filterwarnings("ignore")  # what torch and transformers warn of is theirs
@pytest.mark.parametrize("name", originals.ORIGINALS)
def test_it_computes_what_the_original_computes(name: str, compiled: Any, tmp_path: Path) -> None:
    found = originals.compare(name, tmp_path)
    assert found.from_rounded < (MOST_WITH_NORMS_BEHIND if name in NORMS_BEHIND else MOST_FROM_ROUNDED)
    assert found.greedy + found.undecided == originals.GREEDY_TOKENS
    assert found.greedy > 0.8 * originals.GREEDY_TOKENS
    for setting, far in found.without.items():
        assert far > 2 * found.from_rounded, f"leaving out {setting} would not be noticed"
