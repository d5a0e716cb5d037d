"""Sections and sentences of a text, each at its place."""

import pytest

from server.tasks.text.note import read_note

NOTE = """Seen today.

CHIEF COMPLAINT

Cough, for 3 weeks.

## Exam
• Lungs: clear. Heart: regular.

Assessment and plan:
1. Viral cough.
2. No antibiotics.
Medications: aspirin 81 mg daily.
ALLERGIES: none known.
"""


def test_headings_of_all_kinds_part_a_note() -> None:
    note = read_note(NOTE, "en")
    headings = [section.heading for section in note.sections]
    assert headings == [None, "CHIEF COMPLAINT", "Exam", "Assessment and plan", "Medications", "ALLERGIES"]
    said = [(sentence.section, sentence.text) for sentence in note.sentences]
    assert said == [
        (0, "Seen today."),
        (1, "Cough, for 3 weeks."),
        (2, "Lungs: clear."),
        (2, "Heart: regular."),
        (3, "Viral cough."),
        (3, "No antibiotics."),
        (4, "aspirin 81 mg daily."),
        (5, "none known."),
    ]


@pytest.mark.parametrize("by_heading", [True, False])
@pytest.mark.parametrize("text", [NOTE, "  One.  Two!\n\n\tThree? ", "a" * 300 + ". B.", "中文。还有。", "No end", ""])
def test_each_sentence_is_the_text_at_its_place(text: str, by_heading: bool) -> None:
    note = read_note(text, "en", by_heading=by_heading, count_tokens=len, limit_tokens=40)
    at = 0
    for sentence in note.sentences:
        assert text[sentence.start : sentence.end] == sentence.text
        assert at <= sentence.start < sentence.end
        section = note.sections[sentence.section]
        assert section.start <= sentence.start
        assert sentence.end <= section.end
        at = sentence.end
    read = "".join(sentence.text for sentence in note.sentences)
    assert bool(read) == bool(text)
    if not by_heading:
        assert "CHIEF COMPLAINT" in read or text != NOTE


def test_a_speakers_name_is_no_heading() -> None:
    text = (
        "DOCTOR: How are you?\nPATIENT: Fine.\nDOCTOR: Good. Any pain?\nPATIENT: None.\nDOCTOR: Bye.\nPATIENT: Bye.\n"
    )
    assert [section.heading for section in read_note(text, "en").sections] == [None]


def test_a_text_all_in_capitals_keeps_its_lines() -> None:
    text = "PATIENT DENIES CHEST PAIN\nPLAN IS TO REST\n"
    note = read_note(text, "en")
    assert [sentence.text for sentence in note.sentences] == text.splitlines()


def test_a_section_without_a_sentence_is_left_out() -> None:
    note = read_note("HISTORY\n\nPLAN\n\nRest at home.\n", "en")
    assert [section.heading for section in note.sections] == ["PLAN"]
    assert note.sentences[0].section == 0


def test_too_many_sentences_are_refused_while_they_are_read() -> None:
    def refuse(sentences: int) -> None:
        if sentences > 5:
            raise OverflowError

    with pytest.raises(OverflowError):
        read_note("One is here. Two is there.\n" * 5, "en", require_room=refuse)
