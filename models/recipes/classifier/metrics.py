"""Quality figures of classifiers, in numpy.

Contract: probabilities (or logits) and 0/1 truths in, plain floats out. Truths of NaN are left
out. It knows nothing of models or data sets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]


def accuracy(probabilities: Numbers, wanted: NDArray[np.integer[Any]]) -> float:
    """Share of rows whose most probable label is the wanted one."""
    return float((probabilities.argmax(axis=1) == wanted).mean())


def macro_f1(probabilities: Numbers, wanted: NDArray[np.integer[Any]]) -> float:
    """Mean of the F1 scores of the labels that occur."""
    chosen = probabilities.argmax(axis=1)
    scores = []
    for label in np.unique(wanted):
        hits = float(((chosen == label) & (wanted == label)).sum())
        scores.append(2.0 * hits / float((chosen == label).sum() + (wanted == label).sum()))
    return float(np.mean(scores))


def calibration_error(confidences: Numbers, right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: confidence against accuracy in bins of equal width."""
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    error = 0.0
    for place in np.unique(places):
        inside = places == place
        error += float(inside.mean()) * abs(float(confidences[inside].mean()) - float(right[inside].mean()))
    return error


def area_under_curve(scores: Numbers, truths: Numbers) -> float:
    """ROC AUC: how often a true row scores above a false one; ties count half."""
    known = ~np.isnan(truths)
    scores, true = scores[known], truths[known] > 0.5
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, weights=ranks) / counts)[inverse]
    true_rows, false_rows = int(true.sum()), int((~true).sum())
    if true_rows == 0 or false_rows == 0:
        return float("nan")
    return float((ranks[true].sum() - true_rows * (true_rows + 1) / 2) / (true_rows * false_rows))


def precision_recall(flagged: NDArray[np.bool_], truths: Numbers) -> tuple[float, float]:
    """Of the flagged rows how many are true; of the true rows how many are flagged."""
    known = ~np.isnan(truths)
    flagged, true = flagged[known], truths[known] > 0.5
    hits = float((flagged & true).sum())
    return hits / max(1.0, float(flagged.sum())), hits / max(1.0, float(true.sum()))


def best_f1_threshold(probabilities: Numbers, truths: Numbers, slack: float = 0.0) -> float:
    """The lowest threshold between two scores where F1 is the highest, or at most ``slack`` less."""
    known = ~np.isnan(truths)
    order = np.argsort(-probabilities[known])
    scores, true = probabilities[known][order], truths[known][order] > 0.5
    hits = np.cumsum(true)
    f1 = 2.0 * hits / (np.arange(1, len(true) + 1) + true.sum())
    place = int(np.flatnonzero(f1 >= f1.max() - slack)[-1])
    after = scores[place + 1] if place + 1 < len(scores) else scores[place]
    return float((scores[place] + after) / 2.0)


def fitted_temperature(logits: Numbers, wanted: NDArray[np.integer[Any]]) -> float:
    """The temperature with the lowest log loss of a softmax, by a fine search."""

    def log_loss(temperature: float) -> float:
        scaled = logits / temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled).sum(axis=1))
        return float((total - scaled[np.arange(len(wanted)), wanted]).mean())

    return min((float(t) for t in np.geomspace(0.3, 4.0, 200)), key=log_loss)


def fitted_sigmoid_temperature(logits: Numbers, truths: Numbers) -> float:
    """The one temperature of all sigmoids with the lowest log loss over the known truths."""
    known = ~np.isnan(truths)
    signed = np.where(truths[known] > 0.5, logits[known], -logits[known])
    temperatures = (float(t) for t in np.geomspace(0.3, 4.0, 200))
    return min(temperatures, key=lambda t: float(np.logaddexp(0.0, -signed / t).mean()))
