"""Which translator serves a request that names none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.cards import TranslationSpec
from models.families import marian
from models.registry import read_card
from models.tokenizers import SentencePieceTokenizer
from server.errors import InvalidValue, ModelNotFound
from server.tasks.model import Model
from server.tasks.translation.task import TranslationTask, Translators

SHIPPED = read_card(Path(__file__).parents[2] / "models" / "weights" / "translate")


pytestmark = pytest.mark.anyio


@pytest.fixture
def served(tokenizer: SentencePieceTokenizer) -> Translators:
    """One that goes through English, one for a single direction, and one for everything."""

    def task(name: str, *languages: str, pairs: tuple[tuple[str, str], ...] = ()) -> TranslationTask:
        section = TranslationSpec(languages, "", 1, 2.0, pairs)
        unused: Any = None  # nothing is run
        return TranslationTask(Model(replace(SHIPPED, id=name), tokenizer, unused, unused), section, marian)

    through_english = (("en", "de"), ("de", "en"), ("en", "fr"), ("fr", "en"))
    return Translators(
        [
            task("everything", "en", "de", "fr", "ja", "zh", "zh-Hant"),
            task("european", "en", "de", "fr", pairs=through_english),
            task("en-de", "en", "de", pairs=(("en", "de"),)),
        ]
    )


@pytest.mark.parametrize(
    ("source", "target", "model"),
    [
        ("en", "de", "en-de"),
        ("de", "en", "european"),
        ("de", "fr", "everything"),  # without a language between
        ("fr", "ja", "everything"),
        ("de", "de", "en-de"),
    ],
)
async def test_the_model_made_for_a_direction_serves_it(
    served: Translators, source: str, target: str, model: str
) -> None:
    assert (await served.pick(["any text"], source, target)).card.id == model


@pytest.mark.parametrize(
    ("texts", "target", "model"),
    [
        (["The weather is nice today."], "de", "en-de"),
        (["The weather is nice today.", "Il fait beau aujourd'hui."], "de", "everything"),
        (["Das Wetter ist heute schön."], "en", "european"),
        (["12345"], "de", "en-de"),
    ],
)
async def test_a_detected_language_counts_for_each_text(
    served: Translators, texts: list[str], target: str, model: str
) -> None:
    assert (await served.pick(texts, None, target)).card.id == model


async def test_what_none_translates_is_refused(served: Translators) -> None:
    with pytest.raises(InvalidValue, match="to 'xx'; to these some do: de, en, fr, ja"):
        await served.pick(["text"], None, "xx")
    with pytest.raises(InvalidValue, match="from xx to de"):
        await served.pick(["text"], "xx", "de")
    with pytest.raises(ModelNotFound):
        Translators([])


def test_the_languages_are_those_of_all(served: Translators) -> None:
    assert set(served.languages) == {"en", "de", "fr", "ja", "zh", "zh-Hant"}
    assert served.translates("fr", "zh-Hant")
    assert not served.translates("fr", "xx")
