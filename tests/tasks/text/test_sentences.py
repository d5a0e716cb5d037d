"""Splitting texts into sentences, and joining them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tasks.text.sentences import split, split_long

LANGUAGES = st.sampled_from(["en", "de", "fr", "es", "xx"])
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PIECES = st.sampled_from(
    (". |! |\n|\n\n| |\t|- |1. |Dr. |Hello|the end|am 3. |Mai|\"|«|»|```|\r\n|x = 1;|https://a.b/c|42|\u2028|\x00|…|¿Qué"
     "|M. |(|)|etc. |> |# |" + "word " * 20).split("|")
)  # fmt: skip
TEXTLIKE = st.lists(PIECES, max_size=30).map("".join)


def words(text: str) -> int:
    return len(text.split())


@given(text=ANY_TEXT | TEXTLIKE, language=LANGUAGES)
def test_a_text_put_together_again_is_the_text(text: str, language: str) -> None:
    skeleton = split(text, language)
    assert skeleton.join(skeleton.sentences) == text
    assert all(sentence and sentence == sentence.strip() for sentence in skeleton.sentences)


@given(text=TEXTLIKE, language=LANGUAGES, limit=st.integers(1, 30))
def test_no_sentence_is_over_the_limit_and_nothing_is_lost(text: str, language: str, limit: int) -> None:
    skeleton = split(text, language, words, limit)
    assert skeleton.join(skeleton.sentences) == text
    assert all(words(sentence) <= limit for sentence in skeleton.sentences)


def test_layout_stays_and_only_sentences_go_through() -> None:
    text = (
        "# Title here\n\nDr. Smith went to  Washington. He paid $3.50!  \n"
        "- first item. And more.\n  * second item\n1. Number one\n\n\t42\n> quoted\n"
        "```python\nprint('Hello there')\nPlain words.\n```\nBye now.\n"
    )
    skeleton = split(text, "en")
    assert skeleton.sentences == (
        "Title here", "Dr. Smith went to  Washington.", "He paid $3.50!", "first item.", "And more.",
        "second item", "Number one", "quoted", "Bye now.",
    )  # fmt: skip
    shouted = skeleton.join([sentence.upper() for sentence in skeleton.sentences])
    assert shouted.lower() == text.lower()
    assert "- FIRST ITEM. AND MORE.\n  * SECOND ITEM\n1. NUMBER ONE\n\n\t42\n> QUOTED\n" in shouted
    assert "```python\nprint('Hello there')\nPlain words.\n```\n" in shouted


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["Mr. and Mrs. Jones met Ms. Lee at 5 p.m. today.", "Was it good?", "U.S. prices rose 2.5 percent."]),
        ("de", ["Am 3. Mai kam z.B. Herr Dr. Müller an.", "Das 6. Gipfeltreffen war gut."]),
        ("de", ["3. Mai oder Ende des 19. Jahrhunderts?", "Ja."]),
        ("fr", ["M. Dupont a vu Mme Durand.", "Il a dit que M. Martin arrive.", "Ça va ?", "Oui !"]),
        ("es", ["El Sr. García llegó a las 8.", "¿Cómo está Ud. hoy?", "¡Muy bien!", "La Dra. López también."]),
        ("en", ['He said "this is not closed and goes on for long.', "Then there was another one, also quite long."]),
    ],
)  # fmt: skip
def test_sentences_as_a_reader_sees_them(language: str, sentences: list[str]) -> None:
    assert list(split(" ".join(sentences), language).sentences) == sentences


def test_a_sentence_goes_on_over_the_end_of_a_wrapped_line() -> None:
    text = "This is a long line that has been wrapped by hand at the right\nmargin and it goes on here.\nShort\nlines"
    assert split(text, "en").sentences == (
        "This is a long line that has been wrapped by hand at the right\nmargin and it goes on here.", "Short", "lines",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Hello. " * 20_000, '"Hello. ' * 20_000, "«" * 100_000, "\n" * 100_000, "A. " * 50_000, "- " * 50_000,
        "= " * 50_000, "-" * 100_000, "{" * 100_000, ("x" * 60 + "\n") * 2000,
    ],
    ids=lambda text: repr(text[:8]),
)  # fmt: skip
def test_a_text_made_to_take_long_does_not(text: str) -> None:
    # Quadratic ways through these take minutes and run into the test runner's timeout.
    skeleton = split(text, "de")
    assert skeleton.join(skeleton.sentences) == text


def test_a_long_quotation_is_no_single_sentence() -> None:
    sentences = (
        '"It is a long way to the sea from here.',
        "We asked the people in the village for help.",
        'They told us to go north," she said.',
    )
    assert split(" ".join(sentences), "en").sentences == sentences
    assert split('"I see. We go," she said.', "en").sentences == ('"I see. We go," she said.',)


@pytest.mark.parametrize("text", ["«" * 20_000, "a " * 10_000, "A good day. " * 2000])
def test_the_library_never_reads_long_texts(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def segment(language: str, part: str) -> list[str]:
        lengths.append(len(part))
        return [part]

    monkeypatch.setattr("sentencex.segment", segment)
    skeleton = split(text, "en")
    assert skeleton.join(skeleton.sentences) == text
    assert sum(lengths) == len(text)
    assert max(lengths) <= 4000


@given(text=ANY_TEXT | TEXTLIKE, limit=st.integers(1, 10))
def test_pieces_of_a_long_sentence_are_the_sentence(text: str, limit: int) -> None:
    pieces = split_long(text, len, limit)
    assert "".join(pieces) == text
    assert all(len(piece) <= limit for piece in pieces)


def test_a_long_sentence_is_cut_where_it_hurts_least() -> None:
    sentence = "We came home late, we were tired, and it rained; nobody had left the light on, so we waited."
    assert split_long(sentence, words, 12) == [
        "We came home late, we were tired, and it rained; ", "nobody had left the light on, so we waited.",
    ]  # fmt: skip
    assert split_long(sentence, words, 6) == [
        "We came home late, ", "we were tired, and it rained; ", "nobody had left the light on, ", "so we waited.",
    ]  # fmt: skip
    assert split_long("Yes, and the rest of this has no mark at all", words, 6) == [
        "Yes, and the rest of ", "this has no mark at all",
    ]  # fmt: skip
    assert split_long("abcdef", len, 4) == ["abc", "def"]
    assert split_long("short", len, 5) == ["short"]
