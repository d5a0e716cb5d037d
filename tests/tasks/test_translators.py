"""The choice of a translator for a request that names none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.cards import Figure, TranslationSpec
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


def chains(tokenizer: SentencePieceTokenizer, *models: tuple[str, float | None]) -> Translators:
    """Models of one direction each, and what their cards say of its quality."""

    def task(name: str, comet: float | None) -> TranslationTask:
        source, target = name.split("-")[-2:]
        section = TranslationSpec((source, target), "", 1, 2.0, ((source, target),))
        figures = () if comet is None else (Figure(f"flores {source}-{target}", "COMET", comet, 100),)
        unused: Any = None  # nothing is run
        card = replace(SHIPPED, id=name, figures=figures)
        return TranslationTask(Model(card, tokenizer, unused, unused), section, marian)

    return Translators([task(*model) for model in models])


@pytest.mark.parametrize(
    ("models", "name"),
    [
        ([("pt-en", None), ("en-de", None)], "pt-en+en-de"),
        ([("pt-en", None), ("en-de", None), ("pt-de", None)], "pt-de"),
        ([("pt-en", 0.9), ("en-de", 0.9), ("pt-de", 0.7)], "pt-en+en-de"),
        ([("pt-en", 0.9), ("en-de", 0.9), ("pt-de", 0.85)], "pt-de"),
        ([("pt-en", 0.9), ("en-de", None), ("pt-de", 0.7)], "pt-de"),
        ([("pt-en", 0.9), ("en-de", 0.8), ("base-en-de", 0.9)], "pt-en+base-en-de"),
        ([("pt-cs", None), ("cs-de", None), ("pt-en", None), ("en-de", None)], "pt-en+en-de"),
    ],
)
async def test_of_several_ways_the_best_is_taken_or_the_most_direct(
    tokenizer: SentencePieceTokenizer, models: list[tuple[str, float | None]], name: str
) -> None:
    assert (await chains(tokenizer, *models).pick(["Bom dia."], "pt", "de")).name == name


async def test_texts_of_several_languages_go_each_its_way(tokenizer: SentencePieceTokenizer) -> None:
    served = chains(tokenizer, ("pt-en", None), ("fr-en", None), ("en-de", None))
    texts = ["O tempo está muito bonito hoje, não acha?", "Il fait vraiment très beau aujourd'hui, n'est-ce pas ?"]
    task = await served.pick(texts, None, "de")
    assert set(task.models) == {"pt-en", "fr-en", "en-de"}
    assert task.translates("pt", "de")
    assert task.translates("fr", "de")
