"""Decoders in CTranslate2's own format are taken as they are, checked, and quantized where they are not."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.cards import ModelCard, TranslationSpec
from models.convert import CannotConvert, Request, convert, open_path
from models.convert.source import SourceError
from models.convert.table import converter_for, needed
from models.convert.tensors.base import BadWeights, WeightFile, whole
from models.convert.tensors.ctranslate2 import read_model_file
from models.registry import read_card
from server.cli.probes import open_served
from server.engines.step.support import core
from tests.convert.model_files import read_variables
from tests.convert.weight_files import write_llama
from tests.hub_folders import write_translator


def made(path: Path, models: Path, name: str, **request: Any) -> ModelCard:
    options = {"open_probe": open_served, "check": "structure", **request}
    return read_card(convert(open_path(path), models, name, Request(**options)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as people publish them: CTranslate2's files and the tokenizer's."""
    hub = write_llama(tmp_path / "hub")
    card = made(hub, tmp_path / "first", "first")
    folder = tmp_path / "llama-ct2-int8"
    folder.mkdir()
    for name in ("model.bin", "config.json", "vocabulary.json", "tokenizer.json"):
        shutil.copyfile(card.path(name), folder / name)
    shutil.copyfile(hub / "tokenizer_config.json", folder / "tokenizer_config.json")
    return folder


def test_it_becomes_the_model_that_its_original_would(folder: Path, tmp_path: Path) -> None:
    source = open_path(folder)
    assert needed(source, "passage") == ()
    assert converter_for(source).__module__ == "models.convert.ctranslate2_folder"
    card = made(folder, tmp_path / "models", "mine")
    original = read_card(tmp_path / "first" / "first")
    ours, aliases = read_variables(card.path("model.bin"))
    theirs, their_aliases = read_variables(folder / "model.bin")
    assert (aliases, ours.keys()) == (their_aliases, theirs.keys())
    for name, value in theirs.items():
        assert np.allclose(ours[name], value, rtol=1e-6), name
        assert ours[name].dtype == value.dtype
    assert card.generation == original.generation
    assert (card.parameters, card.family) == (original.parameters, original.family)
    assert card.context_length_tokens == 2048  # nothing states another
    assert card.summary == "A decoder of CTranslate2 from llama-ct2-int8."


def test_what_was_float32_is_quantized_and_what_was_int8_can_be_read_as_floats(folder: Path, tmp_path: Path) -> None:
    floats = made(folder, tmp_path / "models", "floats", quantization="float32")
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    shutil.copyfile(floats.path("model.bin"), again / "model.bin")
    made(again, tmp_path / "models", "mine")
    ours, _ = read_variables(tmp_path / "models" / "mine" / "model.bin")
    theirs, _ = read_variables(folder / "model.bin")
    name = "decoder/layer_0/ffn/linear_0/weight"
    assert np.array_equal(ours[name], theirs[name])


def test_a_vocabulary_in_another_order_is_refused(folder: Path, tmp_path: Path) -> None:
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    (folder / "vocabulary.json").write_text(json.dumps([vocabulary[1], vocabulary[0], *vocabulary[2:]]))
    with pytest.raises(CannotConvert, match=r"vocabulary\.json has '</s>' where the tokenizer has '<s>'"):
        made(folder, tmp_path / "models", "mine")


@pytest.mark.skipif(core() is None, reason="the step engine, which notices it, is not compiled here")
def test_positions_of_llama_3_that_lack_their_factor_are_refused(folder: Path, tmp_path: Path) -> None:
    from models.convert.model_bin import write_model

    file = WeightFile(folder / "model.bin")
    model = read_model_file(file)
    lacking = {f"decoder/layer_{i}/self_attention/rotary_scaling_type": np.int8(2) for i in range(2)}
    write_model(
        folder / "new.bin", model.specification, model.revision, {**model.scalars, **lacking, **model.tensors}, "int8"
    )
    file.close()
    (folder / "new.bin").rename(folder / "model.bin")
    with pytest.raises(CannotConvert, match="This folder is not whole: its positions are scaled as Llama"):
        made(folder, tmp_path / "models", "mine")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_translator_is_named_for_what_it_lacks(tmp_path: Path) -> None:
    section = TranslationSpec(("en", "de"), "", 1, 3.0, (("en", "de"),))
    write_translator(tmp_path / "opus", "marian", section)
    with pytest.raises(CannotConvert, match="is a TransformerSpec of CTranslate2's, no decoder: it does not say"):
        made(tmp_path / "opus", tmp_path / "models", "mine")


def test_no_mutation_of_the_file_is_more_than_a_sentence(folder: Path) -> None:
    content, random = (folder / "model.bin").read_bytes(), np.random.default_rng(0)
    refused = 0
    for i in range(300):
        changed = bytearray(content[: int(random.integers(0, len(content)))] if i % 3 == 0 else content)
        for at in random.integers(0, max(1, min(len(changed), 4000)), 2):
            changed[at : at + 1] = bytes([int(random.integers(0, 256))])
        (folder / "model.bin").write_bytes(bytes(changed))
        file = WeightFile(folder / "model.bin")
        try:
            for tensor in read_model_file(file).tensors.values():
                whole(tensor)
        except (BadWeights, SourceError):
            refused += 1
        finally:
            file.close()
    assert refused > 100
