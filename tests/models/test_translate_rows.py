"""The rows made for the translation recipe: both sides say the same, and nothing is lost between them."""

import random
import re

import pytest

from models.recipes.translate.amounts import SIGNS, amounts, money
from models.recipes.translate.dates import MONTHS, dated
from models.recipes.translate.made import Row, copied, joined, names_in, noisy, renamed, renumbered

PAIRS = [
    ("Tom has 12 dogs.", "Tom hat 12 Hunde."),
    ("I saw Tom and Anna in Berlin.", "Ich habe Tom und Anna in Berlin gesehen."),
    ("It costs 3 euros.", "Das kostet drei Euro."),
    ("Tommy left.", "Tommy ging."),
]


def into(language: str, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.target_language == language]


def test_names_are_those_that_both_sides_have() -> None:
    assert names_in(PAIRS) == {"Tom", "Anna", "Berlin"}


def test_another_name_stands_on_both_sides() -> None:
    rows = into("de", list(renamed(PAIRS, ["Berlin", "Anna"], "de", random.Random(1))))
    assert len(rows) == 2  # Tommy is somebody else
    found = re.fullmatch(r"(.+) has 12 dogs\.", rows[0].source)
    assert found is not None
    assert found[1] != "Tom"
    assert rows[0].target == f"{found[1]} hat 12 Hunde."


def test_another_number_stands_on_both_sides() -> None:
    rows = into("de", list(renumbered(PAIRS, "de", random.Random(1))))
    (row,) = rows  # where the other side spells the number out, it stays
    source, target = (re.sub(r"\D", "", side) for side in (row.source, row.target))
    assert source == target
    assert len(source) == 2
    assert source != "12"


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_dates_name_the_same_day_and_time(language: str) -> None:
    english_months, months = MONTHS["en"].split(), MONTHS[language].split()
    seen = 0
    for row in into(language, list(dated(language, 400, random.Random(1)))):
        month = next((i for i, name in enumerate(english_months) if f" {name}" in row.source), None)
        assert month == next((i for i, name in enumerate(months) if f" {name}" in row.target), None)
        assert re.findall(r"\b\d{4}\b", row.source) == re.findall(r"\b\d{4}\b", row.target)
        assert re.findall(r":(?!00)(\d\d)", row.source) == re.findall(r"(?::| h )(?!00)(\d\d)", row.target)
        seen += month is not None
    assert seen > 100


def test_joined_rows_join_the_same_sentences() -> None:
    sides = dict(PAIRS)
    for row in into("de", list(joined(PAIRS, "de", 50, random.Random(1)))):
        rest = row.source
        target = []
        while rest:
            english = next(side for side in sorted(sides, key=len, reverse=True) if rest.startswith(side))
            target.append(sides[english])
            rest = rest[len(english) :].lstrip()
        assert row.target == " ".join(target)


def test_noise_changes_what_is_typed_and_not_the_answer() -> None:
    rows = [Row(1.0, "de", "Where is Anna?", "Wo ist Anna?")] * 300
    made = list(noisy(rows, random.Random(1)))
    answers = {row.target for row in made}
    assert answers == {"Wo ist Anna?", "WO IST ANNA?"}
    assert all(row.source.isupper() for row in made if row.target.isupper())
    assert any(row.source == row.target for row in made)  # is in the target language already


def test_copied_lines_come_through() -> None:
    assert all(row.source == row.target for row in copied(["Anna"], 200, random.Random(1)))


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_amounts_keep_identifiers_names_and_digits(language: str) -> None:
    signs = set()
    for row in into(language, list(amounts(language, ["Anna"], 400, random.Random(1)))):
        assert "{" not in row.source + row.target
        assert sorted(re.findall(r"\d", row.source)) == sorted(re.findall(r"\d", row.target))
        sign = set(SIGNS) & set(row.source)
        assert sign == set(SIGNS) & set(row.target)
        signs |= sign
        code = re.search(r"[A-Z]+-\d+|#\d+|\d{4}/\d{3}", row.source)
        assert code is None or code[0] in row.target
    assert signs == set(SIGNS)


@pytest.mark.parametrize(
    ("language", "expected"), [("en", "€1,250.50"), ("de", "1.250,50 €"), ("fr", "1 250,50 €"), ("es", "1.250,50 €")]
)
def test_money_is_written_as_the_language_does(language: str, expected: str) -> None:
    assert money(125_050, "€", language) == expected
