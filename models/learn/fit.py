"""A linear head on frozen vectors, fitted and judged by cross-validation. Knows vectors and labels, no texts.

scikit-learn is imported only here: a server does not need it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.extras import how_to_install
from models.learn.folds import divide
from models.probabilities import softmax

Floats = npt.NDArray[np.float32]

STRENGTHS = (1.0, 10.0)
"""Values of the inverse regularisation; the one with the better log loss is taken. Larger ones do not help below some
thousand rows."""
TEMPERATURES = tuple(np.geomspace(0.4, 2.5, 60))
BINS = 10


class CannotFit(Exception):
    """No head can be fitted: the rows do not allow it, or the library is missing. The message is for the terminal."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head, and its figures from cross-validation."""

    labels: tuple[str, ...]
    weight: Floats
    """Shape (labels, d), for vectors that are not normalised."""
    bias: Floats
    temperature: float
    predictions: tuple[int, ...]
    """For each row the label it got from a head that had not seen it."""
    truth: tuple[int, ...]
    own_chance: tuple[float, ...]
    """For each row the probability that such a head gave the row's own label."""
    said_chance: tuple[float, ...]
    """For each row the probability of the label that it got."""
    groups: int
    """The number of groups of near copies, on which an interval depends."""
    alike: tuple[str, ...]
    """Labels whose rows are all near copies of each other: the head's accuracy on other wording is unknown."""
    calibration_error: float
    """Expected calibration error of those predictions, after the temperature."""

    @property
    def accuracy(self) -> float:
        """The share of rows that got their own label."""
        return float(np.mean(np.array(self.predictions) == np.array(self.truth)))

    @property
    def macro_f1(self) -> float:
        """The mean of the labels' F1, each counting alike."""
        right, said, true = Counter[int](), Counter(self.predictions), Counter(self.truth)
        right.update(p for p, t in zip(self.predictions, self.truth, strict=True) if p == t)
        return float(np.mean([2 * right[i] / (said[i] + true[i]) for i in range(len(self.labels))]))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy (Wilson), where near copies count as one row."""
        share, n, z = self.accuracy, self.groups, 1.96
        middle, reach = share + z * z / (2 * n), z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
        return (middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)

    def confusion(self) -> npt.NDArray[np.int64]:
        """Rows: the true label; columns: the predicted one."""
        table = np.zeros((len(self.labels), len(self.labels)), np.int64)
        np.add.at(table, (np.array(self.truth), np.array(self.predictions)), 1)
        return table


def fit(vectors: Floats, labels: Sequence[str], groups: Sequence[int] | None = None) -> Fitted:
    """Fit a head.

    Args:
        vectors: shape (n, d), pooled hidden states as the server makes them.
        labels: n labels.
        groups: n numbers; rows of the same number are near copies, of which none is judged by a head that has seen
            another. If left out, no row is a copy of another.

    Raises:
        CannotFit: fewer than two labels, a label with one row only, or no scikit-learn.
    """
    counts = Counter(labels)
    if len(counts) < 2:
        raise CannotFit("the rows have one label only; a classifier needs two or more.")
    lone = sorted(label for label, count in counts.items() if count < 2)
    if lone:
        raise CannotFit(f"one row only for: {', '.join(lone[:10])}. Add rows or leave these labels out.")
    names = tuple(sorted(counts))
    truth = np.array([names.index(label) for label in labels])
    middle, spread = vectors.mean(axis=0), vectors.std(axis=0).mean()
    scaled = (vectors - middle) / spread
    folds = divide(truth.tolist(), range(len(labels)) if groups is None else groups)
    tried = [(_held_out(scaled, truth, folds.of_row, strength), strength) for strength in STRENGTHS]
    logits, strength = min(tried, key=lambda each: _loss(each[0], truth, 1.0))
    temperature = min(TEMPERATURES, key=lambda t: _loss(logits, truth, t))
    weight, bias = _parameters(_regression(strength).fit(scaled, truth), len(names))
    weight = weight / spread  # so that the head takes vectors as they are
    chances = softmax(logits / temperature)
    return Fitted(
        names,
        weight.astype(np.float32),
        (bias - weight @ middle).astype(np.float32),
        round(float(temperature), 4),
        tuple(map(int, logits.argmax(axis=1))),
        tuple(map(int, truth)),
        tuple(map(float, chances[np.arange(len(truth)), truth])),
        tuple(map(float, chances.max(axis=1))),
        folds.groups,
        tuple(names[i] for i in folds.alike),
        _calibration_error(chances, truth),
    )


def require_library() -> None:
    """Refuse before any work if the library is missing.

    Raises:
        CannotFit: scikit-learn is not installed.
    """
    _regression(1.0)


def _regression(strength: float) -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise CannotFit(f"scikit-learn is not installed; to install: {how_to_install('classifier')}") from None
    return LogisticRegression(C=strength / 100, max_iter=300, tol=1e-3)


def _held_out(
    vectors: Floats, truth: npt.NDArray[np.int64], of_row: npt.NDArray[np.int64], strength: float
) -> npt.NDArray[np.float64]:
    """Each row's logits from a head fitted without its fold; a label that such a head never saw is the unlikeliest."""
    regression = _regression(strength)
    logits = np.zeros((len(truth), int(truth.max()) + 1))
    for fold in range(int(of_row.max()) + 1):
        fitting, judging = of_row != fold, of_row == fold
        seen = np.unique(truth[fitting])
        regression.fit(vectors[fitting], truth[fitting])
        weight, bias = _parameters(regression, len(seen))
        found = vectors[judging] @ weight.T + bias
        each = np.repeat(found.min(axis=1, keepdims=True) - 1.0, logits.shape[1], axis=1)
        each[:, seen] = found
        logits[judging] = each
    return logits


def _parameters(regression: Any, labels: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weight (labels, d) and bias of a softmax; of two labels the library keeps one row only."""
    weight, bias = np.asarray(regression.coef_), np.asarray(regression.intercept_)
    if labels == 2:
        return np.vstack([np.zeros_like(weight), weight]), np.array([0.0, float(bias[0])])
    return weight, bias


def _loss(logits: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], temperature: float) -> float:
    chosen = softmax(logits / temperature)[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def _calibration_error(probabilities: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(sure[places == b].mean() - right[places == b].mean())) * (places == b).mean() for b in set(places)
    ]
    return float(sum(gaps))
