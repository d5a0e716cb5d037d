"""The streaming writer's files equal those of CTranslate2's own converter byte for byte, except for added facts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from models.convert import Request, convert
from models.convert.architectures import page_of
from models.convert.decoder_files import write_decoder
from models.convert.opened import open_path
from tests.convert import encoder_repositories as encoders
from tests.convert.decoder_repositories import KINDS, OWN, change, write
from tests.convert.encoder_repositories import write as write_encoder
from tests.convert.model_files import read_variables
from tests.convert.translator_repositories import write_m2m100, write_marian

THEIRS = [kind for kind, (name, _) in KINDS.items() if f"{name}Config" in (
    "LlamaConfig", "MistralConfig", "Qwen2Config", "Qwen3Config", "GemmaConfig", "Gemma2Config", "Gemma3TextConfig",
    "GPT2Config", "OPTConfig",
) and kind not in OWN]  # fmt: skip
"""The kinds that CTranslate2's converter knows."""


def convert_by_ctranslate2(source: Path, folder: Path) -> None:
    import transformers
    from ctranslate2.converters.transformers import _MODEL_LOADERS

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(source)
    loader = _MODEL_LOADERS[type(model.config).__name__]
    spec = loader.get_model_spec(model)
    roles = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "")
    loader.set_config(spec.config, model, SimpleNamespace(**roles, chat_template=None))
    spec.register_vocabulary([str(i) for i in range(model.config.vocab_size)])
    spec.validate()
    spec.optimize(quantization="int8_float32")
    spec.save(str(folder))


@pytest.mark.parametrize("kind", THEIRS)
def test_tensors_are_those_of_ctranslate2s_own_converter(tmp_path: Path, kind: str) -> None:
    source = open_path(write(tmp_path / "hub", kind))
    (tmp_path / "theirs").mkdir()
    convert_by_ctranslate2(source.folder, tmp_path / "theirs")
    decoder = page_of(source.architecture).decoder(source.config)
    write_decoder(source, decoder, tmp_path, "int8_float32", equalize=False)
    (ours, aliases), (theirs, their_aliases) = (
        read_variables(f / "model.bin") for f in (tmp_path, tmp_path / "theirs")
    )
    assert aliases == their_aliases
    arrays = {name for name, value in theirs.items() if value.ndim}
    assert {name for name, value in ours.items() if value.ndim} == arrays
    assert [name for name in sorted(arrays) if not np.array_equal(ours[name], theirs[name])] == []
    # Scalars are facts: theirs lack some, and have others wrong (the bases of Gemma's positions, Mistral's window).
    assert theirs.keys() <= ours.keys()


def test_shards_of_bfloat16_give_the_same_file(tmp_path: Path) -> None:
    import torch
    import transformers

    write(tmp_path / "whole", "qwen3")
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "whole", dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "shards", max_shard_size="50KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    model.float().save_pretrained(tmp_path / "floats")
    for name in ("shards", "floats"):
        source = open_path(tmp_path / name)
        (tmp_path / f"{name}-made").mkdir()
        write_decoder(source, page_of(source.architecture).decoder(source.config), tmp_path / f"{name}-made", "int8")
    assert (tmp_path / "shards-made/model.bin").read_bytes() == (tmp_path / "floats-made/model.bin").read_bytes()


def test_pickled_weights_give_the_same_file(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    write(tmp_path / "safe", "llama 3.1")
    write(tmp_path / "pickled", "llama 3.1")
    torch.save(load_file(tmp_path / "safe/model.safetensors"), tmp_path / "pickled/pytorch_model.bin")
    (tmp_path / "pickled/model.safetensors").unlink()
    for name in ("safe", "pickled"):
        source = open_path(tmp_path / name)
        (tmp_path / f"{name}-made").mkdir()
        write_decoder(source, page_of(source.architecture).decoder(source.config), tmp_path / f"{name}-made", "float32")
    assert (tmp_path / "safe-made/model.bin").read_bytes() == (tmp_path / "pickled-made/model.bin").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_page_assumes_is_what_the_configuration_class_does(tmp_path: Path, kind: str) -> None:
    import transformers

    name, _ = KINDS[kind]
    options = {"use_sliding_window": True} if name.startswith("Qwen") else {}  # else they forget the window's size
    theirs = getattr(transformers, f"{name}Config")(**options).to_dict()
    page = page_of(open_path(write(tmp_path, kind)).architecture)
    assumed = {key: value for key, value in page.defaults.items() if key in theirs and key != "rope_theta"}
    assert {key: theirs[key] for key in assumed} == assumed
    rope = theirs.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope)
    assert rope.get("rope_theta", page.defaults.get("rope_theta")) == page.defaults.get("rope_theta")


def test_the_text_of_a_model_that_sees_is_the_model_of_text(tmp_path: Path) -> None:
    """Gemma 3 from 4B on: the text model's weights have other names, its facts stand in a section."""
    import torch
    import transformers

    text = write(tmp_path / "text", "gemma3")
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(text)
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Gemma3Config(
        text_config=model.config.to_dict(), vision_config={**vision, "image_size": 28, "patch_size": 14}
    )
    both: Any = transformers.Gemma3ForConditionalGeneration(config)
    with torch.no_grad():
        both.model.language_model.load_state_dict(model.model.state_dict())
    both.tie_weights()
    both.save_pretrained(tmp_path / "sees")
    for name in ("text", "sees"):
        source = open_path(tmp_path / name)
        (tmp_path / f"{name}-made").mkdir()
        write_decoder(source, page_of(source.architecture).decoder(source.config), tmp_path / f"{name}-made", "int8")
    assert open_path(tmp_path / "sees").architecture == "Gemma3ForConditionalGeneration"
    assert (tmp_path / "sees-made/model.bin").read_bytes() == (tmp_path / "text-made/model.bin").read_bytes()


def test_minicpm_is_granite_with_its_factors_written_otherwise(tmp_path: Path) -> None:
    """Transformers has no MiniCPM; its network is Granite's."""
    for name in ("granite", "minicpm"):
        write(tmp_path / name, "granite", attention_multiplier=0.25)
    layers, width = 2, 64
    about = {"scale_emb": 3.0, "scale_depth": 0.6 * layers**0.5, "dim_model_base": width / 4.0}
    change(tmp_path / "minicpm/config.json", architectures=["MiniCPMForCausalLM"], **about)
    for name in ("granite", "minicpm"):
        source = open_path(tmp_path / name)
        (tmp_path / f"{name}-made").mkdir()
        write_decoder(source, page_of(source.architecture).decoder(source.config), tmp_path / f"{name}-made", "int8")
    granite, minicpm = (read_variables(tmp_path / f"{name}-made/model.bin")[0] for name in ("granite", "minicpm"))
    scales = {name for name in granite if name.endswith("queries_scale")}  # a quarter is one over the root of 16
    assert granite.keys() - minicpm.keys() == scales
    different = [name for name in minicpm if not np.allclose(granite[name], minicpm[name], rtol=1e-6)]
    assert different == []


def save(spec: Any, folder: Path) -> None:
    spec.validate()
    spec.optimize(quantization="int8_float32")
    spec.save(str(folder))


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "Roberta", "XLMRoberta", "Camembert"])
def test_encoders_are_those_of_ctranslate2s_own_converter(tmp_path: Path, kind: str) -> None:
    import transformers
    from ctranslate2.converters.transformers import _MODEL_LOADERS
    from ctranslate2.specs.transformer_spec import TransformerEncoderModelSpec

    write_encoder(tmp_path / "hub", encoders.KINDS[kind], "Model")
    made = convert(open_path(tmp_path / "hub"), tmp_path / "models", "mine", Request(check="structure"))
    model: Any = transformers.AutoModel.from_pretrained(tmp_path / "hub")
    model.config.position_embedding_type = "absolute"  # their loaders ask for it, transformers 5 has it no longer
    loader = _MODEL_LOADERS[type(model.config).__name__]
    given = SimpleNamespace(config=model.config, roberta=model) if kind == "XLMRoberta" else model
    spec = TransformerEncoderModelSpec(loader.get_model_spec(given).encoder)  # without the pooler
    spec.register_vocabulary([str(i) for i in range(model.config.vocab_size)])
    (tmp_path / "theirs").mkdir()
    save(spec, tmp_path / "theirs")
    (ours, _), (theirs, _) = (read_variables(f / "model.bin") for f in (made, tmp_path / "theirs"))
    assert ours.keys() == theirs.keys()
    different = {name for name in ours if not np.array_equal(ours[name], theirs[name])}
    assert different <= {"encoder/embeddings_merge"}  # of one table it says nothing


@pytest.mark.parametrize("write_translator", [write_marian, write_m2m100])
def test_translators_are_those_of_ctranslate2s_own_converter(tmp_path: Path, write_translator: Any) -> None:
    import transformers
    from ctranslate2.converters.transformers import _MODEL_LOADERS

    write_translator(tmp_path / "opus-mt-en-de")
    source = open_path(tmp_path / "opus-mt-en-de")
    made = convert(source, tmp_path / "models", "mine", Request(check="structure"))
    model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "opus-mt-en-de")
    spec = _MODEL_LOADERS[type(model.config).__name__].get_model_spec(model)
    tokens = [str(i) for i in range(spec.encoder.embeddings[0].weight.shape[0])]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    (tmp_path / "theirs").mkdir()
    save(spec, tmp_path / "theirs")
    (ours, our_aliases), (theirs, their_aliases) = (
        read_variables(f / "model.bin") for f in (made, tmp_path / "theirs")
    )
    assert our_aliases == their_aliases
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    assert [name for name in different if not np.allclose(ours[name], theirs[name], atol=2e-5)] == []  # sines
    assert set(different) <= {name for name in ours if "position_encodings" in name}
