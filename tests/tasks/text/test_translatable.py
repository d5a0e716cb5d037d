"""The server translates texts with a word and returns texts without a word unchanged."""

import pytest

from server.tasks.text.sentences import is_translatable, split

SAME_IN_EVERY_LANGUAGE = [
    "", "  ", "12", "3,50 €", "-5 °C", "100 %", "5 km", "1/2", "2024-05-01", "10:30 - 11:00", "3 x 4 = 12", "...", "—",
    "- --", "😀🎉", "☎ +49 30 1234567", "foo@bar.com", "https://a.de, https://b.de", "www.example.org/a?b=c",
    "README.md", "/usr/bin/env", "C:\\Users\\foo", "{name}", "{{ user.name }}", "%s", "$HOME", "<br/>", "#tag @user",
    "iPhone", "camelCase", "snake_case", "get_user_name()", "AB-1234", "v1.2.3", "550e8400-e29b-41d4-a716-446655440000",
    "x = foo(1);", "const a = 5;", "print('hello world')", "for i in range(10):", "if (a > b) {", "}", "return x;",
    "SELECT * FROM t;", "std::vector<int> v;", "a == b", "`npm install`", "A", "x",
]  # fmt: skip
HAS_A_WORD = [
    "OK", "Hi", "NASA", "No;", "Mr.", "I like C.", "McDonald", "Hello {name}!", "5 apples", "The 5 km run",
    "Visit https://x.org", "<b>bold</b>", "-Hola", "Gracias;", "Danke (sehr);", "He (the boss) left;", "Lehrer(in)",
    "file(s)", "for example:", "if so:", "from here:", "class trip:", "if you go (now):", "I went home; she stayed;",
    "日本語", "水", "Привет",
]  # fmt: skip


@pytest.mark.parametrize("text", SAME_IN_EVERY_LANGUAGE)
def test_what_is_the_same_in_every_language_is_left_as_it_is(text: str) -> None:
    assert not is_translatable(text)
    assert split(text, "en").sentences == ()


@pytest.mark.parametrize("text", HAS_A_WORD)
def test_what_has_a_word_is_translated(text: str) -> None:
    assert is_translatable(text)


def test_between_sentences_it_stays_in_its_place() -> None:
    text = "Call me.\n030 1234567\nWrite to a@b.org:\nhttps://example.org\n😀 Thanks.\n...\n"
    skeleton = split(text, "en")
    assert skeleton.sentences == ("Call me.", "Write to a@b.org:", "😀 Thanks.")
    assert skeleton.join(skeleton.sentences) == text
