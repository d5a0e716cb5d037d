"""Notations of programs and texts in capitals, through the rows of the shipped translator."""

import pytest

from models.registry import load_family, read_card
from models.tokenizers import load_tokenizer
from server.engines.rows import Hypothesis
from server.settings import SHIPPED_MODELS
from server.tasks.translation.document import build, read_segments
from server.tasks.translation.marks import Marked
from server.tasks.translation.placeholders import Glossary
from server.tasks.translation.rows import Rows, is_raised, lowered


@pytest.fixture(scope="module")
def rows() -> Rows:
    card = read_card(SHIPPED_MODELS / "translate")
    assert card.translation is not None
    return Rows(load_tokenizer(card), load_family(card), card.translation, 256)


def written(rows: Rows, source: Marked, says: str) -> str:
    tokens = rows._tokenizer.tokens(rows._tokenizer.encode(says))
    row = rows.row(source, "en", "de", 1)
    return rows.candidate(source, row, Hypothesis(tuple(tokens), -0.2, ()), "en", "de").sentence.render()


def sentence(text: str) -> Marked:
    document = build(read_segments(text, None), "en", glossary=Glossary(), count_tokens=len, limit_tokens=200)
    [made] = document.sentences
    return made


def test_no_letter_sticks_to_a_placeholder(rows: Rows) -> None:
    files, photo = sentence("%s files were deleted."), sentence("This is {name}'s photo.")
    assert (files.text, photo.text) == ("Tom files were deleted.", "This is Tom photo.")
    assert written(rows, files, "Toms fichiers ont été supprimés.") == "%s fichiers ont été supprimés."
    assert written(rows, photo, "Das ist Toms Foto.") == "Das ist {name}'s Foto."


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("THE HOUSE IS CLOSED TODAY.", "The house is closed today."),
        ("PLEASE OPEN Tom NOW!", "Please open Tom now!"),
        ("ÜBER DEN WOLKEN", "Über den wolken"),
    ],
)
def test_capitals_are_read_in_lower_case_and_written_as_capitals(rows: Rows, text: str, reads: str) -> None:
    assert is_raised(text)
    assert lowered(text) == reads
    assert rows.count_tokens(text) == rows.count_tokens(reads)
    assert written(rows, Marked(text), "Das Haus ist groß.") == "DAS HAUS IST GROSS."


@pytest.mark.parametrize(
    "text", ["USA", "Hello World", "I AM", "THE House is closed.", "", "12 345", "Tom Boston John"]
)
def test_other_texts_keep_their_case(text: str) -> None:
    assert not is_raised(text)


def test_a_name_that_stands_for_something_is_not_raised(rows: Rows) -> None:
    held = sentence("PLEASE OPEN {name} NOW!")
    assert written(rows, held, "Bitte öffnen Sie Tom jetzt!") == "BITTE ÖFFNEN SIE {name} JETZT!"
