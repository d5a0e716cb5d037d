"""ICU messages: whole sentences are read, and what is written is a message again."""

import pytest

from server.tasks.translation.document import Document, build
from server.tasks.translation.marks import Marked
from server.tasks.translation.messages import MOST_FORMS, message_runs, written_in_message
from server.tasks.translation.placeholders import Glossary
from server.tasks.translation.placing import place

PLURAL = "You have {count, plural, =0 {no mail} one {# letter} other {# letters}} in {folder}."


def taken_apart(text: str, target: str = "de") -> Document:
    runs = message_runs(text, target)
    assert runs is not None
    return build(runs, "en", escape=written_in_message, glossary=Glossary(), count_tokens=len, limit_tokens=500)


def test_each_form_is_read_as_a_whole_sentence() -> None:
    document = taken_apart(PLURAL)
    assert [sentence.text for sentence in document.sentences] == [
        "You have no mail in Tom.",
        "You have 35 letter in Tom.",
        "You have 35 letters in Tom.",
    ]
    made = [
        place(sentence, text)
        for sentence, text in zip(
            document.sentences,
            ["Keine Post in Tom.", "Sie haben 35 Brief in Tom.", "In Tom sind 35 Briefe."],
            strict=True,
        )
    ]
    assert document.join(made) == (
        "{count, plural, =0 {Keine Post in {folder}.} one {Sie haben # Brief in {folder}.} "
        "other {In {folder} sind # Briefe.}}"
    )


def test_the_categories_of_the_target_are_added() -> None:
    document = taken_apart("{n, plural, one {a cat} other {# cats}}", "pl")
    assert document.join(document.sentences) == ("{n, plural, one {a cat} few {# cats} many {# cats} other {# cats}}")
    assert len(taken_apart("{n, plural, one {a cat} other {# cats}}", "ja").sentences) == 2


@pytest.mark.parametrize(
    "text",
    [
        "{gender, select, male {He liked it.} female {She liked it.} other {They liked it.}}",
        "{n, plural, offset:1 =0 {Nobody came.} one {# guest came.} other {# guests came.}}",
        "{g, select, a {{n, plural, one {It is one.} other {They are #.}}} other {It is {x, number, percent}.}}",
        "{n, plural, one {It''s a cat.} other {They''re # cats.}}",
    ],
)
def test_a_message_of_whole_sentences_comes_back_as_it_was(text: str) -> None:
    document = taken_apart(text)
    assert document.join(document.sentences).replace("It's", "It''s").replace("They're", "They''re") == text


@pytest.mark.parametrize(
    "text",
    [
        "Hello {name}.",
        "{n, plural, one {a cat}}",  # without `other`
        "{n, plural, one {a cat} one {two} other {# cats}}",
        "{n, plural, one {a cat} other {# cats}",
        "{n, plural, one {a cat} other {# cats}}}",
        "{n, selectordinal, one {#st} two {#nd} few {#rd} other {#th}}",
        "{n, plural, one {'{'a} other {b}}",
        "{n, select, offset:1 a {x} other {y}}",
        "{a, plural, one {x} other {{b, plural, one {x} other {{c, plural, one {x} other {{d, plural, one {x} other {"
        "{e, plural, one {x} other {{f, plural, one {x} other {y}}}}}}}}}}}}",
        " ".join("{n, plural, one {a} two {b} few {c} other {d}}" for _ in range(3)),  # 64 forms
        "{n, select, " + " ".join(f"k{i} {{x}}" for i in range(MOST_FORMS + 1)) + " other {y}}",
    ],
)
def test_what_is_no_message_or_has_too_many_forms_is_left_alone(text: str) -> None:
    assert message_runs(text, "de") is None


def test_what_a_translation_has_of_the_syntax_is_quoted() -> None:
    document = taken_apart("{n, plural, one {the friend of {x}} other {# friends}}", "fr")
    first, second = document.sentences
    made = [place(first, "l'ami d'Tom"), Marked("35 {amis}")]
    assert document.join(made) == "{n, plural, one {l'ami d''{x}} other {35 '{'amis'}'}}"
    del second
