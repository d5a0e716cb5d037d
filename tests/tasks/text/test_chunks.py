"""Long texts in chunks."""

from hypothesis import given
from hypothesis import strategies as st

from server.tasks.text.sentences import chunk
from tests.tasks.text.test_sentences import ANY_TEXT, LANGUAGES, TEXTLIKE, words


@given(text=ANY_TEXT | TEXTLIKE, language=LANGUAGES, limit=st.integers(1, 30))
def test_nothing_is_lost_and_no_chunk_is_over_the_limit(text: str, language: str, limit: int) -> None:
    chunks = chunk(text, language, words, limit)
    assert "".join(chunks) == text
    assert all(words(each) <= limit for each in chunks)


def test_the_limit_holds_where_pieces_have_more_tokens_together_than_apart() -> None:
    def count(part: str) -> int:
        return words(part) + 3 * (words(part) > 5)

    chunks = chunk("One two three four five. " * 4, "en", count, 10)
    assert chunks == ["One two three four five. "] * 4


def test_chunks_end_where_sentences_do_and_are_of_like_length() -> None:
    text = "One two three four. " * 26
    chunks = chunk(text, "en", words, 50)
    assert [words(each) for each in chunks] == [36, 36, 32]
    assert all(each.endswith("four. ") for each in chunks)


def test_a_sentence_over_the_limit_is_cut_at_a_clause() -> None:
    chunks = chunk("First this happened to us all; then it was quite over.", "en", words, 8)
    assert chunks == ["First this happened to us all; ", "then it was quite over."]


def test_space_around_a_text_makes_no_chunk_of_its_own() -> None:
    assert chunk("\n\n One two.\n\n Three four.\n\n\n ", "en", words, 2) == ["\n\n One two.\n\n ", "Three four.\n\n\n "]
