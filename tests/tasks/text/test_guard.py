import pytest

from server.tasks.text.guard import judge

LANGUAGES = ("en", "de", "fr", "es")
SOURCE = "The old man lives in a small house by the sea."


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        ("Der alte Mann wohnt in einem kleinen Haus am Meer.", ()),
        (SOURCE, ("untranslated",)),
        ("The old man lives in a small house by the sea, der", ("untranslated",)),
        ("Le vieil homme habite une petite maison au bord de la mer.", ("wrong_language",)),
        ("Der Mann", ("length",)),
        ("", ("length",)),
        ("Der alte Mann wohnt in einem kleinen Haus am Meer, " * 4, ("length",)),
    ],
)
def test_what_is_wrong_is_named(target: str, flags: tuple[str, ...]) -> None:
    assert judge(SOURCE, target, "de", LANGUAGES, looped=False) == flags


def test_a_model_that_repeated_itself_is_flagged() -> None:
    assert judge("I see.", "Ich sehe.", "de", LANGUAGES, looped=True) == ("repetition",)


@pytest.mark.parametrize(
    ("source", "target"),
    [("Tom.", "Tom."), ("Berlin, Paris, London", "Berlin, Paris, London"), ("OK", "OK"), ("No.", "Das ist nicht so."),
     ("Windows Server 2019 Datacenter", "Windows Server 2019 Datacenter"), ("{}", ""), ("Yes!", "Ja!")],
)  # fmt: skip
def test_names_and_short_texts_are_left_in_peace(source: str, target: str) -> None:
    assert judge(source, target, "de", LANGUAGES, looped=False) == ()
