"""Translators and T5 without torch: the served outputs equal those of a second implementation in numpy."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest

from models.cards import ModelCard
from models.convert import CannotConvert, Mismatch, Request, convert, open_path
from models.convert.opened import SAFE
from models.convert.table import needed
from models.convert.translated import ALLOWED_PERPLEXITY
from models.registry import load_family, read_card
from models.tokenizers import load_tokenizer
from models.vocabulary import read_vocabulary
from tests.convert.bare_translators import (
    T5_KINDS,
    bart_logits,
    config_of,
    t5_logits,
    write_m2m100,
    write_marian,
    write_nllb,
    write_t5,
)
from tests.convert.decoder_repositories import change, write_json
from tests.convert.weight_files import Arrays, write_safetensors

STRUCTURE = Request(quantization="float32", check="structure")
TEXT = "Two men were mending nets on the quay."
MADE = 9
Logits = Callable[[Mapping[str, Any], Arrays, Sequence[int], Sequence[int]], np.ndarray]


def imported(folder: Path, models: Path, request: Request = STRUCTURE) -> ModelCard:
    source = open_path(folder)
    assert needed(source, "passage") == needed(source, "structure") == ()
    assert "torch" in needed(source, "original")
    return read_card(convert(source, models, "mine", request))


def require_same(
    card: ModelCard, hub: Path, arrays: Arrays, logits: Logits, row: Sequence[str], prefix: list[str], banned: int
) -> None:
    """The model's greedy tokens have the log-probabilities that its weights give them."""
    vocabulary = read_vocabulary(card.folder)
    ids = {token: id for id, token in enumerate(vocabulary)}
    translator = ctranslate2.Translator(str(card.folder), device="cpu", intra_threads=1)
    made = translator.translate_batch(
        [list(row)], target_prefix=[prefix], beam_size=1, max_decoding_length=MADE, max_input_length=0
    )[0].hypotheses[0]
    scored = translator.score_batch([list(row)], [made], max_input_length=0)[0].log_probs[: len(made)]
    wanted = logits(config_of(hub), arrays, [ids[token] for token in row], [ids[token] for token in made])
    wanted[:, len(vocabulary) - banned :] = -np.inf
    probabilities = wanted - np.log(np.exp(wanted).sum(1, keepdims=True))
    assert np.abs(scored - probabilities[np.arange(len(made)), [ids[token] for token in made]]).max() < 1e-4
    assert [vocabulary[id] for id in wanted.argmax(1)[len(prefix) :]] == made[len(prefix) :]


@pytest.mark.parametrize(
    ("write", "pair"), [(write_marian, ("en", "de")), (write_m2m100, ("en", "de")), (write_nllb, ("en", "zh-Hant"))]
)
def test_a_translator_computes_what_its_weights_say(tmp_path: Path, write: Any, pair: tuple[str, str]) -> None:
    hub, arrays = write(tmp_path / "opus-mt-en-de")
    card = imported(hub, tmp_path / "models")
    tokenizer, family, section = load_tokenizer(card), load_family(card), card.translation
    assert section is not None
    row = family.source_row(section, tokenizer.tokens(tokenizer.encode(TEXT)), *pair)
    require_same(card, hub, arrays, bart_logits, row, family.target_prefix(section, pair[1]), 0)


@pytest.mark.parametrize("kind", T5_KINDS)
def test_a_t5_computes_what_its_weights_say(tmp_path: Path, kind: str) -> None:
    hub, arrays = write_t5(tmp_path / "hub", kind)
    card = imported(hub, tmp_path / "models")
    tokenizer = load_tokenizer(card)
    row = [*tokenizer.tokens(tokenizer.encode(TEXT)), "</s>"]
    require_same(card, hub, arrays, t5_logits, row, [], 12)


def test_languages_are_asked_by_the_codes_that_users_know(tmp_path: Path) -> None:
    card = imported(write_m2m100(tmp_path / "hub")[0], tmp_path / "models")
    assert card.translation is not None
    assert (len(card.translation.languages), card.translation.token("de")) == (100, "__de__")
    card = imported(write_nllb(tmp_path / "nllb")[0], tmp_path / "others")
    assert card.translation is not None
    assert set(card.translation.languages) == {"ace", "ace-Arab", "de", "en", "zh", "zh-Hant"}
    assert card.translation.token("en") == "eng_Latn"


def test_int8_is_held_to_the_same_weights_in_float32(tmp_path: Path) -> None:
    card = imported(write_t5(tmp_path / "hub")[0], tmp_path / "models", Request())
    figures = {figure.metric: figure.value for figure in card.figures}
    assert 0 < figures["noise of the log-probabilities as served, int8_float32"] < 0.4


def test_a_translator_that_finds_right_translations_unlikely_is_refused(tmp_path: Path) -> None:
    hub, _ = write_marian(tmp_path / "opus-mt-en-de")
    with pytest.raises(Mismatch, match=r"the perplexity of right translations is .*--check structure") as refused:
        imported(hub, tmp_path / "models", Request())
    assert refused.value.found > ALLOWED_PERPLEXITY
    assert list((tmp_path / "models").iterdir()) == []


def test_tied_tables_under_several_names_are_one(tmp_path: Path) -> None:
    hub, arrays = write_marian(tmp_path / "opus-mt-en-de")
    once = imported(hub, tmp_path / "models")
    names = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
    write_safetensors(hub / SAFE, {**arrays, **dict.fromkeys(names, arrays["model.shared.weight"])})
    again = imported(hub, tmp_path / "others")
    assert (once.folder / "model.bin").read_bytes() == (again.folder / "model.bin").read_bytes()
    assert once.parameters == again.parameters


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"normalize_before": True}, "normalize_before"),
        ({"share_encoder_decoder_embeddings": False}, "share_encoder_decoder_embeddings"),
        ({"pad_token_id": 3}, "is the last of the vocabulary in Marian"),
        ({"vocab_size": 10**12}, "must be a whole number"),
        ({"encoder_layers": 3}, r"lacks weights: model\.encoder\.layers\.2"),
        ({"decoder_layers": 1}, "weights that a model of its kind has not"),
        ({"d_model": 48}, r"have the shape \(\d+, 32\)"),
        ({"max_position_embeddings": 1 << 40}, "must be a whole number"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, config: dict[str, Any], why: str) -> None:
    hub, _ = write_marian(tmp_path / "opus-mt-en-de")
    change(hub / "config.json", **config)
    with pytest.raises(CannotConvert, match=why):
        imported(hub, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("vocabulary", [{"</s>": 0, "<unk>": 2}, {"</s>": 0, "a": 1}, {"</s>": 0, "<unk>": "1"}])
def test_a_vocabulary_that_lies_is_one_sentence(tmp_path: Path, vocabulary: dict[str, Any]) -> None:
    hub, _ = write_marian(tmp_path / "opus-mt-en-de")
    write_json(hub / "vocab.json", vocabulary)
    with pytest.raises(CannotConvert, match=r"vocab\.json"):
        imported(hub, tmp_path / "models")
