"""The target language that a system message asks for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.cards import TranslationSpec
from models.families import m2m100
from models.registry import read_card
from models.tokenizers import SentencePieceTokenizer
from server.errors import InvalidValue
from server.tasks.model import Model
from server.tasks.translation.chat import ChatTranslation
from server.tasks.translation.task import TranslationTask

SHIPPED = read_card(Path(__file__).parents[2] / "models" / "weights" / "translate")


@pytest.fixture
def chat(tokenizer: SentencePieceTokenizer) -> ChatTranslation:
    section = TranslationSpec(("en", "de", "it", "no", "zh", "zh-Hant"), "", 1, 2.0)
    unused: Any = None  # nothing is run
    return ChatTranslation(
        TranslationTask(Model(replace(SHIPPED, id="all"), tokenizer, unused, unused), section, m2m100)
    )


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("Translate to German.", "de"),
        ("Translate it to German, no comments.", "de"),
        ("Übersetze ins Deutsche oder auf Deutsch", "de"),
        ("to: zh-Hant", "zh-Hant"),
        ("Translate from English to Chinese", "zh"),
        ("target: it", "it"),
        ("English-German", "de"),
    ],
)
def test_a_language_is_found_by_its_name_before_its_code(chat: ChatTranslation, said: str, language: str) -> None:
    assert chat._asked([said], "Text: more") == (language, "Text: more")


def test_no_language_is_an_error(chat: ChatTranslation) -> None:
    for text in ("Text", "Note to the German team: hello", "Translate it: hello", "Translate to German:", "a" * 5000):
        with pytest.raises(InvalidValue, match="name the target language"):
            chat._asked(["Translate."], text)


@pytest.mark.parametrize(
    ("said", "language", "text"),
    [
        ("Translate to German: Where is the station?", "de", "Where is the station?"),
        (
            "Please translate the following text from English into Chinese:\n\nOne: two.\nThree.",
            "zh",
            "One: two.\nThree.",
        ),
        ("Übersetze auf Deutsch\nHello: there", "de", "Hello: there"),
    ],
)
def test_an_instruction_before_the_text_names_the_language_and_is_not_translated(
    chat: ChatTranslation, said: str, language: str, text: str
) -> None:
    assert chat._asked([], said) == (language, text)
    assert chat._asked(["Translate to Italian."], said) == ("it", said), "a system message says it"
