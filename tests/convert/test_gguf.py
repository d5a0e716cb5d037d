"""A GGUF becomes the model that its repository would: the same weights, ids, template, licence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.cards import ModelCard
from models.convert import CannotConvert, Mismatch, Request, convert, open_path
from models.convert.architectures import page_of
from models.convert.decoder_files import write_decoder
from models.convert.gguf_names import config_of, hub_tensors, llama3_factors
from models.convert.tensors.base import whole
from models.registry import read_card, verify
from models.tokenizers import load_tokenizer
from server.cli.probes import open_served
from tests.convert.model_files import read_variables
from tests.convert.weight_files import (
    DIM,
    NUMBERS,
    llama_facts,
    llama_gguf_tensors,
    write_gguf,
    write_llama,
    write_llama_gguf,
)


def made(path: Path, models: Path, name: str = "mine", **request: Any) -> ModelCard:
    options = {"open_probe": open_served, "check": "structure", **request}
    return read_card(convert(open_path(path), models, name, Request(**options)))


def test_a_gguf_and_its_repository_give_the_same_model(tmp_path: Path) -> None:
    repository = made(write_llama(tmp_path / "hub"), tmp_path / "models", "hub")
    gguf = made(write_llama_gguf(tmp_path / "tiny.gguf"), tmp_path / "models", "gguf")
    verify(gguf)
    for file in ("model.bin", "config.json", "vocabulary.json", "chat_template.jinja"):
        assert gguf.path(file).read_bytes() == repository.path(file).read_bytes(), file
    for fact in ("family", "license", "context_length_tokens", "parameters", "generation"):
        assert getattr(gguf, fact) == getattr(repository, fact), fact
    text = "Where's the  ferry?\n\tÑandú 🙂 <tool_call>"
    assert load_tokenizer(gguf).encode(text) == load_tokenizer(repository).encode(text)


def test_a_folder_with_one_gguf_is_that_model(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    write_llama_gguf(tmp_path / "hub" / "tiny-Q8_0.gguf")
    (tmp_path / "hub" / "config.json").write_text("{}")  # some have one, which says nothing of the GGUF
    assert open_path(tmp_path / "hub").architecture == "LlamaForCausalLM"
    write_llama_gguf(tmp_path / "hub" / "tiny-Q4_0.gguf")
    with pytest.raises(Exception, match=r"several GGUF files; name one: tiny-Q4_0\.gguf, tiny-Q8_0\.gguf"):
        open_path(tmp_path / "hub")


def test_quantized_tensors_are_read(tmp_path: Path) -> None:
    """Blocks of 32 with a scale of two bytes: what is written back in int8 a row is near it."""
    arrays = llama_gguf_tensors(len(llama_facts()["tokenizer.ggml.tokens"]))
    wanted = arrays["blk.0.ffn_up.weight"]
    blocks = wanted.reshape(len(wanted), -1, 32)
    scale = (np.abs(blocks).max(2, keepdims=True) / 127).astype(np.float16)
    quantized = np.rint(blocks / scale.astype(np.float32)).astype(np.int8)
    packed = np.concatenate([scale.view(np.uint8), quantized.view(np.uint8)], axis=2).reshape(len(wanted), -1)
    file = write_gguf(
        tmp_path / "a.gguf",
        llama_facts(),
        arrays | {"blk.0.ffn_up.weight": packed},
        {"blk.0.ffn_up.weight": 8},
    )
    made(file, tmp_path / "models")
    from models.convert.opened import open_weights

    with open_weights(open_path(file)) as tensors:
        found = whole(tensors["model.layers.0.mlp.up_proj.weight"])
    assert np.array_equal(found, (quantized * scale.astype(np.float32)).reshape(wanted.shape))


class InMemory:
    """A tensor that is an array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape

    def rows(self, begin: int, end: int) -> np.ndarray:
        """The numbers of the places from ``begin`` to ``end`` of the outermost dimension."""
        return self.array[begin:end].astype(np.float32)


def tensors_of(name: str, array: np.ndarray, **facts: Any) -> np.ndarray:
    """What the hub's tensor of this one is, in a GGUF of these facts."""
    about = {key.replace("__", "."): value for key, value in facts.items()}
    sizes = {"embedding_length": 8, "attention.head_count": 2}
    about |= {f"{about['general.architecture']}.{key}": size for key, size in sizes.items()}
    every = {"token_embd.weight": InMemory(NUMBERS), name: InMemory(array)}
    found = hub_tensors(about, every, config_of(about, every))  # type: ignore[arg-type]
    (other,) = (tensor for key, tensor in found.items() if "embed" not in key and "wte" not in key)
    return whole(other)


def test_norms_of_gemma_are_stored_plus_one() -> None:
    for architecture in ("gemma", "gemma2", "gemma3"):
        norm = np.array([1.5, 0.25], np.float32)
        assert tensors_of("output_norm.weight", norm, general__architecture=architecture).tolist() == [0.5, -0.75]
    assert tensors_of("output_norm.weight", norm, general__architecture="qwen3").tolist() == [1.5, 0.25]


def test_matrices_of_gpt_2_are_turned_back() -> None:
    found = tensors_of("blk.0.ffn_up.weight", NUMBERS, general__architecture="gpt2")
    assert np.array_equal(found, NUMBERS.T)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3s_positions_are_told_by_their_factors(factor: float) -> None:
    sizes = {"llama.embedding_length": 128, "llama.attention.head_count": 2}
    facts = {"general.architecture": "llama", "llama.rope.freq_base": 500000.0, **sizes}
    factors = llama3_factors(32, 500000.0, factor)
    every: Any = {"token_embd.weight": InMemory(NUMBERS), "rope_freqs.weight": InMemory(factors)}
    scaling = config_of(facts, every)["rope_scaling"]
    assert (scaling["rope_type"], scaling["factor"], scaling["original_max_position_embeddings"]) == (
        *("llama3", factor),
        8192,
    )
    assert factors[0] == 1
    assert factors[-1] == factor
    every["rope_freqs.weight"] = InMemory(factors * 1.1)
    with pytest.raises(CannotConvert, match="that are not Llama 3's"):
        config_of(facts, every)


def test_facts_that_a_gguf_keeps_as_tensors_are_read_from_the_file(tmp_path: Path) -> None:
    facts = llama_facts() | {"llama.rope.freq_base": 500000.0}
    factors = llama3_factors(DIM // 2, 500000.0, 32.0)
    arrays = llama_gguf_tensors(len(facts["tokenizer.ggml.tokens"])) | {"rope_freqs.weight": factors}
    card = made(write_gguf(tmp_path / "a.gguf", facts, arrays), tmp_path / "models")
    variables, _ = read_variables(card.path("model.bin"))
    attention = "decoder/layer_1/self_attention"
    assert float(variables[f"{attention}/rotary_scaling_factor"]) == 32
    assert int(variables[f"{attention}/original_max_position_embeddings"]) == 8192


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"general__architecture": "mamba"}, "a model of the architecture 'mamba'; known here: ernie4_5, exaone4"),
        ({"llama__expert_count": 8}, "a mixture of experts"),
        ({"llama__rope__scaling__type": "ntk"}, "Positions are scaled by 'ntk'"),
        ({"llama__rope__dimension_count": 8}, "rotates a part of each head only"),
        ({"llama__attention__head_count_kv": [2, 1]}, "layers differ in their attention.head_count_kv"),
        ({"llama__block_count": 0}, "num_hidden_layers is 0, and must be a whole number from 1 to 1024"),
        ({"llama__block_count": 2**31}, "num_hidden_layers is 2147483648"),
        ({"llama__feed_forward_length": 95}, r"gate_proj\.weight have the shape \(96, 64\); config\.json says"),
        ({"llama__attention__head_count": 0}, "does not say how wide the model is, or how many heads it has"),
        ({"llama__block_count": 1}, "weights that a model of its kind has not"),
        ({"llama__block_count": 3}, r"lacks weights: model\.layers\.2\."),
        ({"llama__attention__head_count": 3, "llama__rope__dimension_count": 21}, "are no whole heads"),
        ({"tokenizer__ggml__model": "t5"}, "of the kind 't5'; known here: gpt2, llama"),
        ({"tokenizer__ggml__pre": "other"}, "names 'other' as the way its tokenizer cuts texts; known here: codeshell"),
        ({"tokenizer__ggml__merges": ["ab"]}, "a merge has no two parts"),
        ({"tokenizer__ggml__tokens": ["a", "a"], "tokenizer__ggml__token_type": [1, 1]}, "lists a token twice"),
        ({"tokenizer__ggml__token_type": [1]}, "its tokens have no types"),
        ({"tokenizer__chat_template": "{% if %}"}, "line 1 of the chat template"),
    ],
)
def test_what_a_gguf_says_that_is_not_computed_is_refused(tmp_path: Path, facts: dict[str, Any], why: str) -> None:
    about = llama_facts() | {key.replace("__", "."): value for key, value in facts.items()}
    file = write_gguf(tmp_path / "a.gguf", about, llama_gguf_tensors(len(llama_facts()["tokenizer.ggml.tokens"])))
    with pytest.raises(CannotConvert, match=why):
        made(file, tmp_path / "models")
    assert not (tmp_path / "models").exists() or list((tmp_path / "models").iterdir()) == []


def test_a_model_that_finds_a_text_no_likelier_than_chance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match=r"perplexity of a plain text is .* \(where it is no model of language, --ch"):
        made(write_llama_gguf(tmp_path / "a.gguf"), tmp_path / "models", check="passage")
    assert list((tmp_path / "models").iterdir()) == []


def test_both_engines_compute_the_same_and_a_third_that_does_not_is_refused(tmp_path: Path) -> None:
    from contextlib import nullcontext

    class Otherwise:
        """An engine whose logits are of another model."""

        def logits(self, ids: Any) -> np.ndarray:
            """The logits after each of the ids, of shape (ids, vocabulary)."""
            return np.random.default_rng(0).normal(0, 1, (len(ids), rows)).astype(np.float32)

    file = write_llama_gguf(tmp_path / "a.gguf")
    rows = open_path(file).config["vocab_size"]
    card = made(file, tmp_path / "models")
    assert [f.value < 0.3 for f in card.figures if f.metric.startswith("noise between two engines")] == [True]
    with pytest.raises(Mismatch, match="the noise between two engines"):
        made(file, tmp_path / "models", "other", open_probe=lambda folder: nullcontext(Otherwise()))


def test_a_tokenizer_that_loses_text_is_refused(tmp_path: Path) -> None:
    source = write_llama(tmp_path / "hub")
    table = json.loads((source / "tokenizer.json").read_text())
    table["normalizer"] = {"type": "Lowercase"}
    (source / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(CannotConvert, match="The tokenizer loses text: 'The harb"):
        made(source, tmp_path / "models")


def test_a_float32_model_is_exact_in_both_engines(tmp_path: Path) -> None:
    file = write_llama_gguf(tmp_path / "a.gguf")
    source = open_path(file)
    write_decoder(source, page_of(source.architecture).decoder(source.config), tmp_path, "float32")
    card = made(file, tmp_path / "models", quantization="float32")
    assert card.path("model.bin").read_bytes() == (tmp_path / "model.bin").read_bytes()
