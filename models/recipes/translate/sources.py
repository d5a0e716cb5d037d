"""The table of sources: the share of rows in an epoch, the licence and the place of publication of each.

One row of `sources.tsv` for each name that the data's source column holds (before a slash, where a
source joins many packages): name, weight, copyleft, licence, origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

# From none to strong: MPL is weak; GPL, AGPL, LGPL, GFDL, CC BY-SA and CDLA-Sharing are strong. Whether
# copyleft reaches the weights of a model that was trained on a text is unsettled, hence the choice.
COPYLEFT = ("none", "weak", "strong")


@dataclass(frozen=True, slots=True)
class Source:
    """One source of sentence pairs."""

    name: str
    weight: float
    copyleft: str
    licence: str
    origin: str


@cache
def sources() -> dict[str, Source]:
    """Every source by its name, in the order of the table."""
    lines = (Path(__file__).parent / "sources.tsv").read_text(encoding="utf-8").splitlines()
    return {source.name: source for source in map(_source, lines)}


def _source(line: str) -> Source:
    name, weight, copyleft, licence, origin = line.split("\t")
    return Source(name, float(weight), copyleft, licence, origin)


def source_of(column: str) -> Source:
    """The source of a row, from what its source column says: `apps/evince` is of `apps`.

    Raises:
        KeyError: the table lacks the source, so nobody has checked its licence.
    """
    return sources()[column.partition("/")[0]]


def allowed(source: Source, most: str) -> bool:
    """Whether a model may be trained on the source that takes copyleft texts up to `most`, one of COPYLEFT."""
    return COPYLEFT.index(source.copyleft) <= COPYLEFT.index(most)
