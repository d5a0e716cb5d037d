"""Translators from a hub: their inputs, their language names and their outputs equal the original's."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from models.cards import ModelCard
from models.convert import Request, convert, read_source
from models.registry import read_card
from tests.convert import translator_repositories as repositories


def converted(tmp_path: Path, write: Callable[[Path], Path]) -> ModelCard:
    folder = convert(
        read_source(write(tmp_path / "hub"), "org/opus-mt-en-de"),
        tmp_path / "models",
        "mine",
        Request(check="original"),
    )
    return read_card(folder)


def figures(card: ModelCard) -> dict[str, float]:
    return {figure.metric: figure.value for figure in card.figures}


def test_a_marian_model_of_one_direction(tmp_path: Path) -> None:
    card = converted(tmp_path, repositories.write_marian)
    section = card.translation
    assert section is not None
    assert (section.languages, section.pairs, section.target_token) == (("en", "de"), (("en", "de"),), "")
    assert (section.beam_size, section.max_target_tokens) == (5, repositories.POSITIONS - 2)
    assert (card.license, card.context_length_tokens, card.family) == ("cc-by-4.0", repositories.POSITIONS, "marian")
    assert figures(card)["largest difference of a log-probability in float32"] < 1e-4


def test_a_marian_model_of_several_targets_names_them_as_users_do(tmp_path: Path) -> None:
    targets = ("fra", "spa", "zho_Hans", "zho_Hant")
    card = converted(tmp_path, lambda folder: repositories.write_marian(folder, targets, source_lang="eng"))
    section = card.translation
    assert section is not None
    assert section.pairs == (("en", "fr"), ("en", "es"), ("en", "zh"), ("en", "zh-Hant"))
    assert section.token("zh-Hant") == ">>zho_Hant<<"


def test_m2m100_translates_between_all_its_languages(tmp_path: Path) -> None:
    card = converted(tmp_path, repositories.write_m2m100)
    section = card.translation
    assert section is not None
    assert len(section.languages) == 100
    assert section.pairs == ()
    assert section.token("de") == "__de__"
    assert figures(card)["largest difference of a log-probability in float32"] < 1e-4


def test_nllb_is_asked_by_the_codes_that_users_know(tmp_path: Path) -> None:
    card = converted(tmp_path, repositories.write_nllb)
    section = card.translation
    assert section is not None
    assert {"en", "de", "zh", "zh-Hant", "ace", "ace-Arab"} <= set(section.languages)
    assert section.token("en") == "eng_Latn"
    assert card.tokenizer.kind == "huggingface"
    assert figures(card)["largest difference of a log-probability in float32"] < 1e-4
