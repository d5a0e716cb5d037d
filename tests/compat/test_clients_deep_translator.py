"""deep-translator against a real server, as LibreTranslate's client. Run by `make test-clients`."""

from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Served

WHY = "deep-translator is in the environment of `make test-clients` only"
deep_translator = pytest.importorskip("deep_translator", reason=WHY)


def translator(server: Served, source: str, target: str) -> Any:
    # deep-translator requires a key, even if the server does not, and a slash at the end of the address.
    return deep_translator.LibreTranslator(source=source, target=target, api_key="none", custom_url=f"{server.url}/")


def test_a_text_is_translated(server: Served) -> None:
    assert "Hund" in translator(server, "en", "de").translate("I have a dog.")


def test_the_language_is_detected(server: Served) -> None:
    assert "dog" in translator(server, "auto", "en").translate("Ich habe einen Hund.")


def test_texts_come_back_in_order(server: Served) -> None:
    dog, house = translator(server, "en", "de").translate_batch(["I have a dog.", "The house is old."])
    assert "Hund" in dog
    assert "Haus" in house


def test_a_files_text_is_translated(server: Served, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("I have a dog, & the house is old?\n")
    assert "Hund" in translator(server, "en", "de").translate_file(str(tmp_path / "letter.txt"))


def test_a_language_there_is_not_is_an_error(server: Served) -> None:
    with pytest.raises(deep_translator.exceptions.ServerException):
        translator(server, "en", "ja").translate("I have a dog.")
