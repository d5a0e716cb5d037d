"""A translator's confidence from rated translations: ``python -m load_tests.translation_confidence FILE [--low 0.3]``.

FILE has a line for each translation of one sentence, tab separated: direction, mean log-probability, accepted (0 or 1),
below a line of names. Printed are the curve for the manifest (``[translation.confidence]``), what it is worth on rows
that it was not fitted to (six parts, each judged by the five others), and which share of the wrong and of the right is
flagged below each point. ``tests/quality/confidence.tsv`` is the file of the shipped translator.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

PARTS = 6
WEIGHT = 1e-3
"""Of the slope's square: keeps it finite where the rows can be told apart without an error."""
Row = tuple[float, bool]
"""Mean log-probability, and whether it was accepted."""


def read(file: Path) -> list[Row]:
    """The rows of a file."""
    lines = [line.split("\t") for line in file.read_text("utf-8").splitlines()[1:]]
    return [(float(line[1]), line[2] == "1") for line in lines]


def probability(curve: tuple[float, float], mean_logprob: float) -> float:
    """The figures of one curve."""
    return 1 / (1 + math.exp(-(curve[0] * mean_logprob + curve[1])))


def fitted(rows: Sequence[Row]) -> tuple[float, float]:
    """Slope and intercept of the likeliest logistic curve, by Newton's method."""
    slope, intercept = 0.0, 0.0
    for _ in range(40):
        p = [probability((slope, intercept), x) for x, _ in rows]
        errors = [y - each for each, (_, y) in zip(p, rows, strict=True)]
        weights = [each * (1 - each) for each in p]
        g0 = sum(e * x for e, (x, _) in zip(errors, rows, strict=True)) - WEIGHT * len(rows) * slope
        g1 = sum(errors)
        a = sum(w * x * x for w, (x, _) in zip(weights, rows, strict=True)) + WEIGHT * len(rows)
        b = sum(w * x for w, (x, _) in zip(weights, rows, strict=True))
        c = sum(weights)
        determinant = a * c - b * b
        slope += (c * g0 - b * g1) / determinant
        intercept += (a * g1 - b * g0) / determinant
    return slope, intercept


def unseen(rows: Sequence[Row]) -> list[tuple[float, bool]]:
    """The probability of each row by a curve of the others, and whether it was accepted."""
    found = []
    for part in range(PARTS):
        curve = fitted([row for i, row in enumerate(rows) if i % PARTS != part])
        found += [(probability(curve, x), y) for x, y in rows[part::PARTS]]
    return found


def area(found: Sequence[tuple[float, bool]]) -> float:
    """The area under the curve: how often a right one has more than a wrong one."""
    right, wrong = ([p for p, y in found if y is wanted] for wanted in (True, False))
    return sum((a > b) + 0.5 * (a == b) for a in right for b in wrong) / (len(right) * len(wrong))


def flagged(found: Sequence[tuple[float, bool]], low: float) -> tuple[float, float]:
    """Which share of the wrong and which of the right is below a point."""
    shares = [[p < low for p, y in found if y is wanted] for wanted in (False, True)]
    return sum(shares[0]) / len(shares[0]), sum(shares[1]) / len(shares[1])


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--low", type=float, default=0.3, help="the point below which a translation is doubtful")
    options = parser.parse_args()
    rows = read(options.file)
    slope, intercept = fitted(rows)
    print(f"[translation.confidence]\nslope = {slope:.2f}\nintercept = {intercept:.2f}\nlow = {options.low}")
    print(f"rows = {len(rows)}\n\n{sum(y for _, y in rows)} of {len(rows)} accepted")
    found = unseen(rows)
    print(f"area under the curve, rows not fitted to: {area(found):.2f}")
    for low in (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5):
        wrong, right = flagged(found, low)
        print(f"below {low}: {wrong:.0%} of the wrong, {right:.0%} of the right")
    ordered = sorted(found)
    for at in range(0, len(ordered), max(1, len(ordered) // PARTS)):
        group = ordered[at : at + max(1, len(ordered) // PARTS)]
        said, were = sum(p for p, _ in group) / len(group), sum(y for _, y in group) / len(group)
        print(f"said {said:.2f}, accepted {were:.2f} ({len(group)})")


if __name__ == "__main__":
    main()
