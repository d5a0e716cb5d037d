"""What the checks of a written summary find, and what they leave alone."""

from collections.abc import Sequence

import numpy as np
import pytest

from server.tasks.encoding import unit
from server.tasks.summaries.form import Span
from server.tasks.summaries.support import Source, checks_in, facts_of, sources_of
from server.tasks.text.note import read_note

NOTE = (
    "Brian White is a 58-year-old male. He takes lisinopril 20 mg once a day. He denies chest pain, fever and chills. "
    "He has had a cough for two weeks. His heart failure is stable. His weight was 1,250 ounces in nineteen sixty one."
)
DIALOGUE = (
    "Doctor: Any chest pain?\nPatient: No, none at all.\nDoctor: Do you smoke?\nPatient: Yes, a bit.\n"
    "Doctor: Any fever?\n"
)


def faults(
    said: str, note: str = NOTE, *, language: str = "en", near: Sequence[int] | None = None
) -> list[tuple[str, str]]:
    """The faults of a sentence that rests on all sentences of the note, or on some."""
    sentences = read_note(note, language, by_heading=False).sentences
    spans = [Span(each.start, each.end, 1.0) for i, each in enumerate(sentences) if near is None or i in near]
    found = Source(sentences).faults(said, spans, checks_in(language))
    return [(flag.fault, said[flag.start : flag.end]) for flag in found]


@pytest.mark.parametrize(
    "said",
    [
        "Brian White, 58, takes lisinopril 20 mg a day.",
        "The patient denies fever and chills and chest pain.",
        "No chest pain, no chills.",
        "He has coughed for 2 weeks.",
        "His weight was 1250 ounces in 1961.",
        "His heart failure is stable.",
        "Medical Reasoning: his heart failure is stable.",
        "One of his problems is stable heart failure.",
    ],
)
def test_what_the_note_says_is_not_flagged(said: str) -> None:
    assert faults(said) == []


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("He takes lisinopril 200 mg a day.", ("number", "200")),
        ("He has had a cough for three weeks.", ("number", "three")),
        ("He takes metoprolol 20 mg a day.", ("name", "metoprolol")),
        ("He is followed by Dr. Miller for heart failure.", ("name", "Miller")),
        ("He reports chest pain and fever.", ("negation", "chest")),
        ("He has not had a cough.", ("negation", "cough")),
    ],
)
def test_what_the_note_does_not_say_is_flagged(said: str, fault: tuple[str, str]) -> None:
    assert fault in faults(said)


def test_a_number_of_another_statement_is_flagged() -> None:
    assert faults("He takes lisinopril 58 mg a day.", near=[2, 3, 4]) == [("number", "58")]


def test_a_sentence_that_rests_on_nothing_is_flagged_as_a_whole() -> None:
    assert faults("He owns a boat.", near=[]) == [("unsupported", "He owns a boat.")]


def test_the_answer_to_a_question_says_whether_it_holds() -> None:
    assert faults("He denies chest pain.", DIALOGUE) == []
    assert ("negation", "chest") in faults("He has chest pain.", DIALOGUE)
    assert faults("He does smoke.", DIALOGUE) == []
    assert ("negation", "smoke") in faults("He does not smoke.", DIALOGUE)
    assert faults("He has a fever.", DIALOGUE) == faults("He has no fever.", DIALOGUE) == []  # nobody has said


def test_only_english_is_checked_for_names_and_negations() -> None:
    assert checks_in("de") == checks_in(None) == ("support", "numbers")
    assert faults("Er nimmt Metoprolol 20 mg nicht.", "Er nimmt Lisinopril 20 mg.", language="de") == []
    assert faults("Er nimmt 25 mg.", "Er nimmt Lisinopril 20 mg.", language="de") == [("number", "25")]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("two thousand eight and twenty six", ["2008", "26"]),
        ("one hundred and five, five six", ["105", "5", "6"]),
        ("nineteen sixty one or 1961", ["1961", "1961"]),
        ("1,000 and 1000 and 05 and 98.60 and 98,6", ["1000", "1000", "5", "98.6", "98.6"]),
        ("thousand hundred and", []),
    ],
)
def test_numbers_have_one_form(text: str, values: list[str]) -> None:
    found = facts_of(text).numbers
    assert [number.text for number in found] == values
    assert all(text[number.start : number.end].strip() for number in found)


def test_sources_are_the_nearest_sentences_and_none_that_is_far() -> None:
    sentences = read_note("One. Two. Three. Four.", "en").sentences
    vectors = np.stack([unit(np.array(row, np.float32)) for row in ([1, 0], [1, 0.2], [0, 1], [-1, 0])])
    spans = sources_of(vectors[0], vectors, sentences)
    assert [span.start for span in spans] == [0, 5]
    assert spans[0].score == pytest.approx(1)
    assert sources_of(np.array([0, -1], np.float32), vectors, sentences) == []
