import pytest

from server.tasks.translation.placeholders import EDGE, STRETCH, find_protected


@pytest.mark.parametrize(
    "held",
    [
        "{name}", "{0}", "{user.name:>10}", "{{ count }}", "${total}", "#{x}", "%{x}", "%s", "%d", "%5.2f", "%1$s",
        "%(x)d", "%NAME%", "$HOME", "[USER_NAME]", "@alice", "#hearth", "https://example.com/a?b=1&c=(2",
        "www.example.com", "https://x.org/{id}/a", "mailto:bob@example.com", "bob.smith+x@example.co.uk", "`rm -rf`",
        "&nbsp;", "foo_bar", "foo_bar()", "main()", "--verbose", "/etc/hosts", "~/notes.txt", "file{n}.txt", "{size}px",
        "{{{name}}}", "<%= name %>", "[[name]]", "$t(key.name)", "%d%%", "%n", ":count", "100%%", "report.pdf",
        "config.yaml", "example.com", "v2.13.1", "#48213", "AB-12345", "BE0768880101", "00:1B:44:11:3A:B7",
        "DE89 3704 0044 0532 0130 00",
        "{count, plural, one {# file} other {# files}}",
    ],
)  # fmt: skip
def test_what_programs_need_is_held_back_whole(held: str) -> None:
    text = f"Please take {held} now."
    assert [text[each.start : each.end] for each in find_protected(text)] == [held]
    assert find_protected(text)[0].kind == "copy"


@pytest.mark.parametrize("held", ["😀", "👩‍👩‍👧", "🇩🇪", "❤️", "1️⃣", "→", "\ufffc"])
def test_emoji_and_signs_are_beside_the_sentence(held: str) -> None:
    text = f"I like it {held} a lot."
    assert [(each.kind, text[each.start : each.end]) for each in find_protected(text)] == [("point", held)]


def test_tags_in_plain_text_are_tags() -> None:
    text = "Click <b>here</b> or <0/>."
    assert [(each.kind, text[each.start : each.end]) for each in find_protected(text)] == [
        ("tag", "<b>"),
        ("tag", "</b>"),
        ("tag", "<0/>"),
    ]
    assert find_protected(text, tags=False) == []


@pytest.mark.parametrize(
    "text",
    [
        "It costs $20, or 50% of it; 100% sure.", "He said (well, yes) and/or no - fine.", "A {very long} aside?",
        "5 < 6 and 7 > 3.", "We are #1.", "Note: this one; 3:30 pm.", "Ceci : cela.", "The B52 and MP3.",
        "Mr. Smith's house: it's old.", "¿Qué? ¡No! «Oui» “ja”", "",
    ],
)  # fmt: skip
def test_prose_is_not_held_back(text: str) -> None:
    assert find_protected(text) == []


def test_an_address_does_not_take_the_sentences_end_along() -> None:
    text = "See (https://example.com/a), or write to bob@example.com!"
    assert [text[each.start : each.end] for each in find_protected(text)] == [
        "https://example.com/a",
        "bob@example.com",
    ]


def test_only_placeholders_without_a_name_are_ordered() -> None:
    text = "%s %d {} %1$s %(a)s {a} {0}"
    assert [each.is_ordered for each in find_protected(text)] == [True, True, True, False, False, False, False]


def test_a_long_text_is_read_in_stretches_and_nothing_at_their_edges_is_missed() -> None:
    held = "https://example.com/a?b=1"
    for before in range(STRETCH - EDGE - 40, STRETCH + 40, 701):
        text = "x" * (before - 1) + f" {held} now. " + "y " * EDGE
        assert [text[each.start : each.end] for each in find_protected(text)] == [held]
