"""The folds of a cross-validation. Knows labels and groups of rows, no vectors."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST = 5


@dataclass(frozen=True, slots=True)
class Folds:
    """A fold for each row."""

    of_row: npt.NDArray[np.int64]
    groups: int
    """The number of groups of rows that are judged independently of each other."""
    alike: tuple[int, ...]
    """Labels all of whose rows are in one group: these rows were judged one by one, so their figure flatters."""


def divide(labels: Sequence[int], groups: Sequence[int]) -> Folds:
    """Put the rows into at most MOST folds: a group's rows into one, a label's groups into as many as there are.

    Args:
        labels: each row's label, from 0 on; every label has two rows or more.
        groups: each row's group; rows of a group are near copies of each other.
    """
    own = list(groups)
    groups_of: dict[int, set[int]] = defaultdict(set)
    for label, group in zip(labels, own, strict=True):
        groups_of[label].add(group)
    alike = tuple(sorted(label for label, found in groups_of.items() if len(found) == 1))
    dissolved = {group for label in alike for group in groups_of[label]}
    own = [-1 - place if group in dissolved else group for place, group in enumerate(own)]
    rows_of: dict[int, list[int]] = defaultdict(list)
    for place, group in enumerate(own):
        rows_of[group].append(place)
    least = min(Counter(label for label, _ in set(zip(labels, own, strict=True))).values())
    return Folds(_spread(labels, list(rows_of.values()), min(MOST, least)), len(rows_of), alike)


def _spread(labels: Sequence[int], groups: list[list[int]], folds: int) -> npt.NDArray[np.int64]:
    """The largest groups first, each into the fold that has the least of the group's labels."""
    order = np.random.default_rng(0).permutation(len(groups))
    totals = Counter(labels)
    held: list[Counter[int]] = [Counter() for _ in range(folds)]
    of_row = np.zeros(len(labels), np.int64)
    for place in sorted(order, key=lambda place: -len(groups[place])):
        found = {labels[row] for row in groups[place]}
        fold = min(range(folds), key=lambda f: (sum(held[f][i] / totals[i] for i in found), held[f].total()))
        held[fold].update(labels[row] for row in groups[place])
        of_row[groups[place]] = fold
    return of_row
