"""The report on a fitted head for the person who will rely on it. Knows rows and figures, no vectors."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from models.learn.fit import Fitted

FEW = 10
"""With fewer different rows than this, a label is poorly learnt and its figure says little."""
WEAK = 0.5
"""A label is hard or labelled inconsistently if a smaller share of its rows is found."""
SHOWN = 5
WARNINGS = 10


def figures(fitted: Fitted) -> str:
    """The figures in one sentence."""
    low, high = fitted.interval
    alone = "" if fitted.groups == len(fitted.truth) else f" ({fitted.groups} without near copies)"
    return (
        f"{len(fitted.truth)} rows{alone}, {len(fitted.labels)} labels. Of rows not seen in fitting (cross-validation, "
        f"near copies together): accuracy {fitted.accuracy:.3f}, 95 % interval {low:.3f} to {high:.3f}, "
        f"macro-F1 {fitted.macro_f1:.3f}, calibration error {fitted.calibration_error:.3f}."
    )


def label_warnings(fitted: Fitted, groups: Sequence[int]) -> Iterator[str]:
    """Labels with too few rows, with near copies only, and those that the head does not find again."""
    truth = np.array(fitted.truth)
    right = truth == np.array(fitted.predictions)
    different: dict[int, set[int]] = defaultdict(set)
    for label, group in zip(fitted.truth, groups, strict=True):
        different[label].add(group)
    for i, name in enumerate(fitted.labels):
        rows = int((truth == i).sum())
        if name in fitted.alike:
            yield f"{name}: its {rows} rows are near copies of each other; its accuracy on other wording is unknown."
        elif len(different[i]) < FEW:
            yield f"{name}: {rows} rows, {len(different[i])} without near copies; take {FEW} or more different ones."
        found = int((right & (truth == i)).sum())
        if found < WEAK * rows:
            yield f"{name}: only {found} of its {rows} rows got it; they are hard to tell or labelled inconsistently."


def disagreements(labels: Sequence[str], groups: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of near copies with different labels: in each group its first row and the first of each other label."""
    first: dict[int, dict[str, int]] = defaultdict(dict)
    pairs = []
    for place, (label, group) in enumerate(zip(labels, groups, strict=True)):
        known = first[group]
        if label not in known:
            if known:
                pairs.append((next(iter(known.values())), place))
            known[label] = place
    return pairs


def report(texts: Sequence[str], labels: Sequence[str], groups: Sequence[int], fitted: Fitted) -> Iterator[str]:
    """Line by line, for the terminal: warnings, near copies with different labels, the rows least sure of."""
    warnings = list(label_warnings(fitted, groups))
    yield from (f"warning: {line}" for line in warnings[:WARNINGS])
    if len(warnings) > WARNINGS:
        yield f"{len(warnings) - WARNINGS} more such warnings are in the model's card."
    pairs = disagreements(labels, groups)
    if pairs:
        yield f"{len(pairs)} near copies have different labels:"
        for one, other in pairs[:SHOWN]:
            yield f"  {labels[one]}: {_short(texts[one])!r}; {labels[other]}: {_short(texts[other])!r}"
    yield "The head is least sure of these rows; check whether their labels are right:"
    for place in np.argsort(fitted.own_chance, kind="stable")[:SHOWN]:
        said = fitted.labels[fitted.predictions[place]]
        own, chance = fitted.own_chance[place], fitted.said_chance[place]
        yield f"  {labels[place]} {own:.2f}, {said} {chance:.2f}: {_short(texts[place])!r}"


def _short(text: str) -> str:
    return text if len(text) <= 70 else text[:67] + "..."
