"""What `hearth train classifier` says of the rows and of its figure."""

import numpy as np
import pytest

from models.learn.fit import Fitted, fit
from models.learn.report import FEW, disagreements, figures, label_warnings, report

pytest.importorskip("sklearn")


def stems(count: int, copies: int, *, learnable: bool) -> tuple[np.ndarray, list[str], list[int]]:
    """Vectors of so many stems, each with near copies; the labels follow from the vectors, or from nothing."""
    rng = np.random.default_rng(3)
    middles = rng.normal(size=(count, 384))
    labels = ["ab"[int(middle[0] > 0)] if learnable else "ab"[int(rng.integers(2))] for middle in middles]
    places = np.repeat(np.arange(count), copies)
    vectors = middles[places] + rng.normal(0, 0.01, (count * copies, 384))
    return vectors.astype(np.float32), [labels[i] for i in places], places.tolist()


def test_near_copies_are_not_judged_by_a_head_that_saw_them() -> None:
    vectors, labels, groups = stems(100, 3, learnable=False)
    assert fit(vectors, labels).accuracy > 0.8  # by heart: each row's near copy was seen
    fitted = fit(vectors, labels, groups)
    assert fitted.accuracy < 0.6
    low, high = fitted.interval
    assert low < 0.5 < high
    assert fitted.groups == 100


def test_a_wrong_answer_is_not_sure_of_itself() -> None:
    """The temperature is fitted on rows that no head has seen near copies of."""
    vectors, labels, groups = stems(100, 3, learnable=False)
    fitted, by_heart = fit(vectors, labels, groups), fit(vectors, labels)
    assert np.mean(fitted.said_chance) < 0.65
    assert np.mean(by_heart.said_chance) > 0.75
    assert fitted.temperature > by_heart.temperature


def test_the_interval_holds_the_accuracy_and_narrows_with_more_rows() -> None:
    widths = []
    for count in (20, 80, 320):
        vectors, labels, groups = stems(count, 3, learnable=True)
        fitted = fit(vectors, labels, groups)
        low, high = fitted.interval
        assert 0.0 <= low < fitted.accuracy < high <= 1.0 or fitted.accuracy == 1.0 == round(high, 6)
        widths.append(high - low)
        assert f"95 % interval {low:.3f} to {high:.3f}" in figures(fitted)
        assert f"{count * 3} rows ({count} without near copies)" in figures(fitted)
    assert widths == sorted(widths, reverse=True)


def labelled(labels: list[str], predictions: list[str], alike: tuple[str, ...] = ()) -> Fitted:
    names = tuple(sorted(set(labels)))
    empty = np.zeros((len(names), 2), np.float32)
    truth, said = (tuple(names.index(label) for label in side) for side in (labels, predictions))
    own = tuple(0.9 if t == s else 0.1 for t, s in zip(truth, said, strict=True))
    return Fitted(names, empty, empty[:, 0], 1.0, said, truth, own, (0.9,) * len(own), len(own), alike, 0.0)


def test_labels_with_few_alike_or_inconsistent_rows_are_warned_of() -> None:
    labels = ["many"] * 20 + ["few"] * 4 + ["alike"] * 12 + ["hard"] * 12
    predictions = ["many"] * 20 + ["few"] * 4 + ["alike"] * 12 + ["many"] * 7 + ["hard"] * 5
    groups = list(range(24)) + [99] * 12 + list(range(100, 112))
    said = list(label_warnings(labelled(labels, predictions, ("alike",)), groups))
    assert [line.partition(":")[0] for line in said] == ["alike", "few", "hard"]
    assert "near copies of each other" in said[0]
    assert f"4 rows, 4 without near copies; take {FEW}" in said[1]
    assert "only 5 of its 12 rows" in said[2]


def test_near_copies_with_different_labels_are_shown() -> None:
    labels, groups = ["a", "b", "a", "c", "b"], [0, 0, 0, 0, 4]
    assert disagreements(labels, groups) == [(0, 1), (0, 3)]
    fitted = labelled(labels, labels)
    lines = list(report(["zero", "one", "two", "three", "four"], labels, groups, fitted))
    assert "2 near copies have different labels:" in lines
    assert "  a: 'zero'; c: 'three'" in lines


def test_the_rows_least_sure_of_come_first_in_the_order_of_their_own_label() -> None:
    labels = ["a"] * 10 + ["b"] * 10
    fitted = labelled(labels, ["a"] * 9 + ["b"] * 11)
    lines = list(report([f"text {i}" for i in range(20)], labels, list(range(20)), fitted))
    start = lines.index("The head is least sure of these rows; check whether their labels are right:")
    assert lines[start + 1] == "  a 0.10, b 0.90: 'text 9'"
