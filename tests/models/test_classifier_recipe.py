"""The parts of the classifier recipes that need no training dependencies."""

import random

import numpy as np
import pytest

from models.recipes.classifier.batches import equal_length_batches
from models.recipes.classifier.metrics import (
    area_under_curve,
    best_f1_threshold,
    calibration_error,
    fitted_temperature,
    macro_f1,
    precision_recall,
)
from models.recipes.classifier.noise import noisy
from models.recipes.classifier.numpy_head import NumpyHead, probabilities_of
from models.recipes.classifier.rows import Row, label_names, read_rows, targets_of, write_rows


def test_a_batch_has_one_length_and_every_row_is_in_one_batch():
    lengths = [3, 5, 3, 5, 5, 9, 3, 5, 5]
    batches = equal_length_batches(lengths, batch_rows=2, batch_tokens=10, rng=random.Random(0))
    assert sorted(index for batch in batches for index in batch) == list(range(9))
    assert all(len({lengths[index] for index in batch}) == 1 for batch in batches)
    assert all(len(batch) <= 2 and len(batch) * lengths[batch[0]] <= 10 for batch in batches)


def test_a_row_over_the_token_limit_is_alone_and_not_lost():
    assert equal_length_batches([50], batch_rows=8, batch_tokens=10, rng=random.Random(0)) == [[0]]


def test_rows_of_tsv_rule_the_other_labels_out(tmp_path):
    file = tmp_path / "rows.tsv"
    file.write_text("late again\tcomplaint\nwhere is it?\tquestion\n", encoding="utf-8")
    assert label_names(file) == ["complaint", "question"]
    rows = read_rows(file, ("complaint", "question"))
    assert targets_of(rows, ("complaint", "question")).tolist() == [[1, 0], [0, 1]]


def test_an_unknown_label_is_named_with_its_line(tmp_path):
    file = tmp_path / "rows.tsv"
    file.write_text("fine\tyes\nwhat\tmaybe\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows\.tsv, line 2"):
        read_rows(file, ("yes", "no"))


def test_an_absent_label_is_not_annotated(tmp_path):
    file = tmp_path / "rows.jsonl"
    write_rows(file, [Row("you clown", {"insult": 1}, "mine")])
    [row] = read_rows(file, ())
    assert row == Row("you clown", {"insult": 1}, "mine")
    targets = targets_of([row], ("insult", "threat"))
    assert targets[0, 0] == 1
    assert np.isnan(targets[0, 1])


def test_noise_keeps_the_number_of_words_and_is_the_same_for_a_seed():
    text = "the delivery was really quite fast and everybody was happy about it today"
    made = [noisy(text, random.Random(seed), share=1.0) for seed in range(50)]
    assert made == [noisy(text, random.Random(seed), share=1.0) for seed in range(50)]
    assert any(one != text for one in made)
    assert all(len(one.split(" ")) == len(text.split(" ")) for one in made)


def test_a_head_without_a_dense_layer_is_a_matrix(tmp_path):
    np.savez(tmp_path / "h.npz", weight=np.array([[1.0, 0.0], [0.0, 2.0]]), bias=np.array([0.0, 1.0]))
    head = NumpyHead.load(tmp_path / "h.npz")
    assert head.logits(np.array([[3.0, 4.0]])).tolist() == [[3.0, 9.0]]


def test_probabilities_do_not_overflow():
    assert probabilities_of(np.array([[1000.0, 0.0]]), "softmax", 1.0).tolist() == [[1.0, 0.0]]
    assert probabilities_of(np.array([[0.0]]), "sigmoid", 0.5).tolist() == [[0.5]]


def test_area_under_curve_counts_ties_half_and_leaves_unknown_rows_out():
    assert area_under_curve(np.array([0.1, 0.9]), np.array([0.0, 1.0])) == 1.0
    assert area_under_curve(np.array([0.5, 0.5]), np.array([0.0, 1.0])) == 0.5
    assert area_under_curve(np.array([0.1, 0.9, 1.0]), np.array([0.0, 1.0, np.nan])) == 1.0
    assert np.isnan(area_under_curve(np.array([0.1]), np.array([1.0])))


def test_macro_f1_counts_labels_alike():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.8, 0.2]])
    assert macro_f1(probabilities, np.array([0, 0, 0, 1])) == pytest.approx((6 / 7 + 0.0) / 2)


def test_calibration_error_is_the_gap_of_confidence_and_accuracy():
    confidences = np.full(10, 0.9)
    assert calibration_error(confidences, np.array([True] * 9 + [False])) == pytest.approx(0.0)
    assert calibration_error(confidences, np.array([True] * 5 + [False] * 5)) == pytest.approx(0.4)


def test_the_fitted_temperature_softens_what_is_too_sure():
    logits = np.array([[8.0, 0.0]] * 8 + [[8.0, 0.0]] * 2)
    assert fitted_temperature(logits, np.array([0] * 8 + [1] * 2)) > 3.0


def test_the_best_threshold_parts_true_from_false():
    scores, truths = np.array([0.9, 0.8, 0.3, 0.2]), np.array([1.0, 1.0, 0.0, 0.0])
    threshold = best_f1_threshold(scores, truths)
    assert threshold == pytest.approx(0.55)
    assert precision_recall(scores >= threshold, truths) == (1.0, 1.0)


def test_where_f1_is_flat_the_lowest_threshold_is_taken():
    scores, truths = np.array([0.9, 0.8, 0.7, 0.3, 0.2]), np.array([1.0, 1.0, 0.0, 1.0, 0.0])
    # F1 at 2, 3, 4 and 5 rows: 0.8, 0.67, 0.86, 0.75
    assert best_f1_threshold(scores, truths, 0.05) == pytest.approx(0.25)
    assert best_f1_threshold(scores, truths, 0.12) == pytest.approx(0.2)
    assert best_f1_threshold(scores, np.array([1.0, 1.0, 0.0, 0.0, 0.0]), 0.1) == pytest.approx(0.75)
