"""Detection of a text's language."""

import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from server.errors import UnsupportedParameter
from server.tasks.text.language import detect, library, recognise

SERVED = ("en", "de", "fr", "es")


@pytest.fixture(params=["eldc", "py3langid"], autouse=True)
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The library that is used: where there is no eldc, the other."""
    if request.param != "eldc":
        monkeypatch.setitem(sys.modules, "eldc", None)
    elif not find_spec("eldc"):
        pytest.skip("there is no eldc for this platform")
    library.cache_clear()
    yield request.param
    library.cache_clear()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Good morning.", "en"), ("I love it.", "en"), ("THANK YOU VERY MUCH", "en"), ("where is it", "en"),
        ("Guten Morgen", "de"), ("Wie geht es dir?", "de"), ("Straße", "de"),
        ("Bonjour tout le monde", "fr"), ("Où est la gare ?", "fr"), ("Merci", "fr"),
        ("Buenos días", "es"), ("¿Dónde está?", "es"), ("mañana", "es"),
    ],
)  # fmt: skip
def test_short_texts_are_told_apart(text: str, language: str, installed: str) -> None:
    if installed == "py3langid" and " " not in text:
        pytest.skip("it is often wrong about single words")
    found = detect(text, SERVED)
    assert found is not None
    assert found[0] == language
    assert 0.5 < found[1] <= 1


@pytest.mark.parametrize("text", ["", " ", "42", "😀", "日本語", "Привет", "\x00"])
def test_a_text_that_tells_nothing_has_no_language(text: str) -> None:
    assert detect(text, SERVED) is None


def test_only_candidates_are_found() -> None:
    assert detect("Guten Morgen, wie geht es dir?", ["en", "fr"]) != "de"
    assert detect("Guten Morgen, wie geht es dir?", ["de"]) == ("de", 1.0)
    assert detect("Guten Morgen, wie geht es dir?", ["de", "no such language"]) == ("de", 1.0)
    assert detect("Guten Morgen", []) is None


def test_a_language_in_two_scripts_is_told_by_its_plain_code() -> None:
    found = detect("今天天气很好，我们去外面玩吧。", ["en", "zh-Hant", "zh"])
    assert found is not None
    assert found[0] == "zh"
    assert detect("今天天气很好，我们去外面玩吧。", ["zh-Hant"]) == ("zh-Hant", 1.0)


def test_the_beginning_of_a_long_text_tells() -> None:
    found = detect("Guten Morgen. " * 200 + "Good morning, how are you? " * 2000, SERVED)
    assert found is not None
    assert found[0] == "de"


def test_a_server_without_a_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eldc", "py3langid"):
        monkeypatch.setitem(sys.modules, name, None)
    library.cache_clear()
    with pytest.raises(UnsupportedParameter, match="name the language") as caught:
        detect("Hello", SERVED)
    assert caught.value.param == "source"


def test_two_threads_that_ask_for_different_languages_do_not_disturb_each_other(installed: str) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    texts = {"it": "Buongiorno, come stai oggi?", "de": "Guten Morgen, wie geht es dir?"}
    wrong: list[object] = []

    def ask(mine: str, candidates: tuple[str, ...]) -> None:
        for _ in range(8_000 if installed == "eldc" else 20):
            found = detect(texts[mine], candidates)
            if found is None or found[0] != mine:
                wrong.append(found)

    asking = [
        threading.Thread(target=ask, args=arguments)
        for arguments in (("it", ("it", "en")), ("de", ("de", "es")), ("it", ("it", "fr", "en")))
    ]
    try:
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("My order still has not arrived.", "en"), ("Der Kellner hat uns lange warten lassen.", "de"),
        ("Le serveur nous a oubliés.", "fr"), ("El camarero nos ignoró.", "es"),
        ("Il mio ordine non è ancora arrivato.", "it"), ("Mijn bestelling is nog steeds niet aangekomen.", "nl"),
        ("Siparişim hâlâ gelmedi.", "tr"), ("注文した商品がまだ届きません。", "ja"), ("42", None), ("!!!", None),
    ],
)  # fmt: skip
def test_a_text_in_none_of_the_candidates_is_recognised(text: str, language: str | None) -> None:
    assert recognise(text, SERVED) == language


@pytest.mark.parametrize("text", ["ok", "lol", "Hi", "haha", "omg so good"])
def test_a_few_letters_are_no_other_language(text: str) -> None:
    assert recognise(text, SERVED) in (*SERVED, None)


def test_a_preferred_language_need_not_be_the_likeliest(installed: str) -> None:
    if installed == "py3langid":
        pytest.skip("it is often wrong about single words")
    assert recognise("super", SERVED, ["fr"]) == "fr"
    assert recognise("super", SERVED, ["en"]) == "en"
    assert recognise("Guten Morgen", SERVED, ["en"]) == "de"


def test_without_a_library_nothing_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eldc", "py3langid"):
        monkeypatch.setitem(sys.modules, name, None)
    assert recognise("Guten Morgen", SERVED) is None
