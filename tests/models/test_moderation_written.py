"""The written sentences for categories without annotated data: expanded, separated by part, placed among others."""

import random
from itertools import combinations
from typing import get_args

import pytest

from models.recipes.moderation.data import HARMLESS, LABELS, written_rows
from models.recipes.moderation.written import CATEGORIES, Part, forms, written

PARTS: tuple[Part, ...] = get_args(Part)


def test_a_pattern_becomes_each_of_its_sentences_once() -> None:
    made = forms("{A|The} cat {sleeps|, again}{.|}", random.Random(1), 100)
    wanted = ["A cat sleeps", "A cat sleeps.", "A cat, again", "A cat, again.", "The cat sleeps", "The cat sleeps."]
    assert sorted(made) == [*wanted, "The cat, again", "The cat, again."]


def test_the_number_of_forms_is_limited() -> None:
    assert 1 < len(forms("{a|b|c|d} {a|b|c|d} {a|b|c|d}", random.Random(1), 5)) <= 5


@pytest.mark.parametrize("part", PARTS)
def test_every_sentence_is_whole_and_every_category_has_both_kinds(part: Part) -> None:
    rows = list(written(part))
    assert {(row.category, row.has_it) for row in rows} == {(name, has) for name in CATEGORIES for has in (True, False)}
    assert not [row.text for row in rows if set(row.text) & set("{}|") or "  " in row.text or " ," in row.text]
    assert rows == list(written(part))  # the same each time


def test_parts_share_no_sentence() -> None:
    for one, other in combinations(PARTS, 2):
        assert not {row.text.casefold() for row in written(one)} & {row.text.casefold() for row in written(other)}


def test_some_stand_among_harmless_sentences() -> None:
    alone = {row.text for row in written("dev")}
    rows = list(written("dev", ["It rains.", "The shop is open.", "Thank you!"]))
    among = [row for row in rows if row.text not in alone]
    assert 0 < len(among) < len(rows)
    for row in among:
        assert [text for text in alone if text in row.text]


def test_a_row_says_nothing_of_hate_where_it_has_another_category() -> None:
    rows = written_rows("test")
    assert {row.source for row in rows} == {"written"}
    for row in rows:
        if any(row.labels.values()):
            assert set(row.labels) == set(CATEGORIES)
            assert sum(row.labels.values()) == 1
        else:
            assert row.labels == HARMLESS
            assert set(row.labels) == set(LABELS)
