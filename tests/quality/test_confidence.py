"""The confidence of the shipped translator is a probability: fitted to rated translations, it holds on others."""

from pathlib import Path

import pytest

from load_tests.translation_confidence import area, fitted, flagged, probability, read, unseen
from models.registry import read_card
from server.settings import SHIPPED_MODELS

ROWS = read(Path(__file__).parent / "confidence.tsv")


def test_the_manifest_has_the_curve_of_the_rated_rows() -> None:
    section = read_card(SHIPPED_MODELS / "translate").translation
    assert section is not None
    assert section.confidence is not None
    assert (section.confidence.slope, section.confidence.intercept) == pytest.approx(fitted(ROWS), abs=0.01)
    assert section.confidence.of(-0.4) == pytest.approx(probability(fitted(ROWS), -0.4), abs=0.01)
    assert section.confidence.rows == len(ROWS)
    assert section.confidence.of(-1e9) == pytest.approx(0)


def test_what_it_says_is_what_was_accepted_of_rows_it_was_not_fitted_to() -> None:
    found = unseen(ROWS)
    assert area(found) > 0.8
    ordered = sorted(found)
    for at in range(0, len(ordered), 30):
        group = ordered[at : at + 30]
        assert abs(sum(p for p, _ in group) - sum(y for _, y in group)) / 30 < 0.15


def test_more_than_a_third_of_the_wrong_are_doubtful_and_few_of_the_right() -> None:
    """The aim is 60 and 5 in a hundred, which the model's own probabilities do not give."""
    section = read_card(SHIPPED_MODELS / "translate").translation
    assert section is not None
    assert section.confidence is not None
    wrong, right = flagged(unseen(ROWS), section.confidence.low)
    assert (wrong > 0.4, right < 0.08) == (True, True)
