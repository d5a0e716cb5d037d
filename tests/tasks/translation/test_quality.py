import pytest

from server.tasks.translation.quality import judge

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


@pytest.mark.parametrize(
    ("source", "target", "language"),
    [
        # A Chinese sentence has a third of the characters that it has in English.
        (
            "我们昨天下午在老城区的一家小书店里找到了这本已经绝版二十多年的旧地图集，店主说整个城市只剩下这一本了。",
            "Yesterday afternoon, in a small bookshop in the old part of the town, we found this old atlas, which has "
            "been out of print for more than twenty years; the owner told us it is the only copy left in the city.",
            "en",
        ),
        ("The weather is nice today and we go outside.", "今天天氣很好，我們 去 外面 玩 吧。", "zh-Hant"),
        # Indonesian is not known to the library, which takes it for Malay.
        ("The weather is nice today and we go outside.", "Cuaca hari ini bagus dan kami pergi ke luar rumah.", "id"),
    ],
)
def test_languages_unlike_english_are_judged_by_their_own_measure(source: str, target: str, language: str) -> None:
    assert judge(source, target, language, ("en", "zh", "zh-Hant", "ms", "id"), looped=False) == ()
