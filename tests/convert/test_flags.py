"""Decoders that need a flag in the engine, without torch: the engine serves a page's facts as their formula says."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest

from models.cards import ModelCard
from models.convert import CannotConvert, Request, convert, open_path
from models.convert.architectures import PAGES, page_of
from models.convert.architectures.page import Weights
from models.convert.network import OWN_SPECIFICATION
from models.registry import read_card, verify
from server.cli.probes import open_served
from server.engines.step import support
from server.engines.step.support import core
from server.serving.build import engine_for
from tests.convert.decoder_repositories import byte_level, write_json
from tests.convert.weight_files import llama_facts, write_gguf, write_safetensors
from tests.engines.step import reference

STEP = pytest.mark.skipif(core() is None, reason="the step engine is not compiled here")
WINDOW, NEAR = 48, 64
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 8.0, "original_max_position_embeddings": NEAR}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0 + i / 8 for i in range(8)],
    "long_factor": [1.0 + i for i in range(8)],
}
IN_TURN = ["sliding_attention", "full_attention"]
KINDS: Mapping[str, dict[str, Any]] = {
    "olmo2": {"architectures": ["Olmo2ForCausalLM"]},
    "olmo3": {
        "architectures": ["Olmo3ForCausalLM"],
        "sliding_window": WINDOW,
        "layer_types": IN_TURN,
        "rope_scaling": YARN,
    },
    "exaone4": {"architectures": ["Exaone4ForCausalLM"], "sliding_window": WINDOW, "layer_types": IN_TURN},
    "hunyuan-dense": {
        "architectures": ["HunYuanDenseV1ForCausalLM"],
        "rope_scaling": {"type": "dynamic", "alpha": 50.0, "factor": 1.0},
    },
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "rope_scaling": YARN},
    "phi3": {"architectures": ["Phi3ForCausalLM"], "original_max_position_embeddings": NEAR, "rope_scaling": LONG},
    "gptneox": {"architectures": ["GPTNeoXForCausalLM"], "num_key_value_heads": 4, "rotary_pct": 0.25},
    "phi2": {"architectures": ["PhiForCausalLM"], "partial_rotary_factor": 0.5},
    "gptj": {"architectures": ["GPTJForCausalLM"], "n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8},
    "opt": {"architectures": ["OPTForCausalLM"], "ffn_dim": 96},
}
"""By llama.cpp's names of the families, where it has one; ``olmo3`` is OLMo 2 to it."""
REACH = {**dict.fromkeys(("olmo2", "olmo3", "exaone4", "hunyuan-dense", "qwen3"), 0), "phi3": NEAR}

COMPUTED: Mapping[str, dict[str, np.ndarray]] = {
    "gptneox": {
        "gpt_neox.layers.0.attention.bias": np.ones((1, 1, 4, 4), np.int8),
        "gpt_neox.layers.0.attention.masked_bias": np.array([-1e9], np.float32),
        "gpt_neox.layers.0.attention.rotary_emb.inv_freq": np.ones(2, np.float32),
    },
    "gptj": {"transformer.h.0.attn.bias": np.ones((1, 1, 4, 4), np.int8)},
}
"""What files have that nobody needs."""


class _Taken(Weights):
    """Makes up whatever a page takes: random numbers of the shape that it wants."""

    def __init__(self) -> None:
        super().__init__({}, {})
        self.arrays: dict[str, np.ndarray] = {}
        self.random = np.random.default_rng(0)

    def take(self, name: str, *shape: int) -> Any:
        """See `Weights`."""
        around, size = (1.0, 0.1) if len(shape) == 1 and "bias" not in name else (0.0, 0.8 / shape[-1] ** 0.5)
        size = 1.0 if "embed_" in name or "wte" in name else size
        self.arrays[name] = self.random.normal(around, size, shape).astype(np.float32)
        return _Array(self.arrays[name])


class _Array:
    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape = array, array.shape

    def rows(self, begin: int, end: int) -> np.ndarray:
        """See `models.convert.tensors.base.Tensor`."""
        return self.array[begin:end].copy()


def config_of(kind: str) -> dict[str, Any]:
    return {**SIZES, "vocab_size": byte_level().get_vocab_size(), **KINDS[kind]}


def arrays_of(kind: str) -> dict[str, np.ndarray]:
    taken, config = _Taken(), config_of(kind)
    page = page_of(config["architectures"][0])
    list(page.weights(page.decoder(config), taken))
    return taken.arrays


def write(folder: Path, kind: str, **config: Any) -> Path:
    folder.mkdir(parents=True)
    byte_level().save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", {**config_of(kind), **config})
    write_json(folder / "tokenizer_config.json", {"bos_token": "<s>", "eos_token": "</s>"})
    write_safetensors(folder / "model.safetensors", {**arrays_of(kind), **COMPUTED.get(kind, {})})
    return folder


def made(source: Path, models: Path, name: str = "mine", **request: Any) -> ModelCard:
    options = {"open_probe": open_served, "check": "structure", **request}
    return read_card(convert(open_path(source), models, name, Request(**options)))


@STEP
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_page_writes_is_served_as_its_formula_says(tmp_path: Path, kind: str) -> None:
    said: list[str] = []
    card = made(write(tmp_path / "hub", kind), tmp_path / "models", report=said.append)
    verify(card)
    assert card.generation is not None
    assert card.generation.closed_loop_tokens == REACH.get(kind)
    assert support.is_own(card.folder) == (REACH.get(kind) == 0)
    not_compared = "CTranslate2's loop does not compute this model: the two engines are not compared"
    assert (not_compared in said) == support.is_own(card.folder)
    compared = any(figure.metric.startswith("noise between two engines") for figure in card.figures)
    assert compared != support.is_own(card.folder)
    ids = np.random.default_rng(1).integers(0, 300, 150).tolist()
    with open_served(card.folder) as probe:
        ours = probe.logits(ids)
    right = reference.logits(card.folder, ids)
    assert np.abs(ours - right).mean() < 0.06 * right.std()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if REACH.get(kind) == 0])
def test_ctranslate2_never_gets_what_it_would_compute_otherwise(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "hub", kind)
    with pytest.raises(CannotConvert, match="by our decode engine alone, which serves int8: leave out --quantization"):
        made(source, tmp_path / "models", quantization="float32")
    if core() is None:
        return
    card = made(source, tmp_path / "models")
    with pytest.raises(Exception, match=OWN_SPECIFICATION):
        ctranslate2.Generator(str(card.folder))
    monkeypatch.setitem(sys.modules, support.CORE, None)  # as where nothing was compiled
    with pytest.raises(
        ValueError, match="CTranslate2's own loop does not compute it, and ours does not: the step engine was not"
    ):
        engine_for(card, 1, 1)
    with pytest.raises(CannotConvert, match="does not compute this model, and our decode engine does not: the step"):
        made(source, tmp_path / "models", "other")


def test_our_specification_is_one_name() -> None:
    assert support.OWN_SPECIFICATION == OWN_SPECIFICATION


@STEP
def test_a_folder_of_ours_is_taken_again(tmp_path: Path) -> None:
    hub = write(tmp_path / "hub", "olmo2")
    card = made(hub, tmp_path / "models")
    for file in ("config.json", "model.bin", "vocabulary.json"):
        shutil.copyfile(card.path(file), hub / file)
    again = made(hub, tmp_path / "models", "again")
    assert again.generation is not None
    assert again.generation.closed_loop_tokens == 0
    assert again.path("model.bin").read_bytes() == card.path("model.bin").read_bytes()


@pytest.mark.parametrize(
    ("kind", "config", "why"),
    [
        (
            "qwen3",
            {"rope_scaling": {"rope_type": "ntk", "factor": 2.0}},
            "scaled by 'ntk'; computed here",
        ),
        ("qwen3", {"rope_scaling": {**YARN, "factor": 0}}, "factor is 0, and must be a number above 0"),
        ("hunyuan-dense", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "scaled by 'dynamic'; computed here"),
        (
            "hunyuan-dense",
            {"rope_scaling": {"type": "yarn", "alpha": 9.0}},
            "an alpha, and are not of the kind",
        ),
        ("phi3", {"rope_scaling": {**LONG, "long_factor": [1.0]}}, "long_factor is no list of 8 numbers"),
        ("phi3", {"rope_scaling": {**LONG, "short_factor": [0.0] * 8}}, "short_factor has what is no number above 0"),
        ("exaone4", {"layer_types": None, "sliding_window_pattern": "LX"}, "neither a number of layers nor letters"),
        ("phi2", {"qk_layernorm": True}, "has qk_layernorm = True, which no engine here computes"),
        ("opt", {"do_layer_norm_before": False}, "has do_layer_norm_before = False, which no engine here computes"),
        ("opt", {"word_embed_proj_dim": 32}, "has word_embed_proj_dim = 32, which no engine here computes"),
        ("olmo2", {"partial_rotary_factor": 0.5}, "rotates a part of each head only, which this family does not do"),
    ],
)
def test_what_the_configuration_says_that_is_not_computed_is_refused_by_it_alone(
    kind: str, config: dict[str, Any], why: str
) -> None:
    stated = {**config_of(kind), **config}
    with pytest.raises(CannotConvert, match=why):
        page_of(stated["architectures"][0]).decoder(stated)


def test_letters_say_which_layers_of_exaone_see_all() -> None:
    stated = {**config_of("exaone4"), "num_hidden_layers": 6, "layer_types": None, "sliding_window_pattern": "LLG"}
    assert page_of("Exaone4ForCausalLM").decoder(stated).windows == (WINDOW, WINDOW, 0, WINDOW, WINDOW, 0)


GGUF_NAMES = {
    **{"embed_in.weight": "token_embd.weight", "embed_tokens.weight": "token_embd.weight"},
    **{"gpt_neox.layers.": "blk.", "model.layers.": "blk."},
    **{"final_layer_norm.": "output_norm.", "final_layernorm.": "output_norm.", "lm_head.": "output."},
    **{"embed_out.": "output.", "self_attn.": "attn_", "attention.query_key_value.": "attn_qkv."},
    **{"attention.dense.": "attn_output.", "attn_dense.": "attn_output.", "_o_proj.": "_output."},
    **{"attn_qkv_proj.": "attn_qkv.", "_q_proj.": "_q.", "_k_proj.": "_k.", "_v_proj.": "_v."},
    **{"query_layernorm.": "q_norm.", "key_layernorm.": "k_norm.", "input_layernorm.": "attn_norm."},
    **{"mlp.gate_up_proj.": "ffn_up.", "mlp.gate_proj.": "ffn_gate.", "mlp.up_proj.": "ffn_up."},
    **{"mlp.down_proj.": "ffn_down.", "mlp.fc1.": "ffn_up.", "mlp.fc2.": "ffn_down."},
    **{"mlp.dense_h_to_4h.": "ffn_up.", "mlp.dense_4h_to_h.": "ffn_down.", "model.": "", "gpt_neox.": ""},
    "post_feedforward_layernorm.": "post_ffw_norm.",
}
"""llama.cpp's names, replaced in this order."""


def gguf_of(kind: str, file: Path) -> Path:
    """What llama.cpp's converter would write of the same weights."""
    name = "olmo2" if kind == "olmo3" else kind
    config, facts = config_of(kind), {}
    for key, value in llama_facts().items():
        facts[key.replace("llama.", f"{name}.")] = value
    facts["general.architecture"] = name
    post_norm = "post_attention_norm." if kind in ("olmo2", "olmo3", "exaone4") else "ffn_norm."
    arrays = {}
    for hub, array in arrays_of(kind).items():
        if kind == "gptneox" and "query_key_value" in hub:
            array = array.reshape(4, 3, 16, -1).swapaxes(0, 1).reshape(array.shape)
        for old, new in {**GGUF_NAMES, "post_attention_layernorm.": post_norm}.items():
            hub = hub.replace(old, new)
        arrays["output_norm.weight" if hub == "norm.weight" else hub] = array
    if kind in ("gptneox", "phi2"):
        del facts[f"{name}.attention.layer_norm_rms_epsilon"]
        facts[f"{name}.attention.layer_norm_epsilon"] = 1e-5
        facts[f"{name}.rope.dimension_count"] = 4 if kind == "gptneox" else 8
        facts[f"{name}.attention.head_count_kv"] = config["num_key_value_heads"]
    else:
        facts[f"{name}.attention.layer_norm_rms_epsilon"] = 1e-6 if kind == "qwen3" else 1e-5
        facts[f"{name}.attention.key_length"] = 16
    if "layer_types" in config:
        facts[f"{name}.attention.sliding_window"] = WINDOW
        facts[f"{name}.attention.sliding_window_pattern"] = [1, 0]
    if kind in ("olmo3", "qwen3"):
        facts[f"{name}.rope.scaling.type"] = "yarn"
        facts[f"{name}.rope.scaling.factor"] = 8.0
        facts[f"{name}.rope.scaling.original_context_length"] = NEAR
    if kind == "olmo3":
        facts[f"{name}.rope.freq_base"] = 500000.0 if "rope_theta" not in config["rope_scaling"] else 1e4
    if kind == "hunyuan-dense":
        facts[f"{name}.rope.freq_base"] = 1e4 * 50.0 ** (16 / 14)
    if kind == "phi3":
        facts[f"{name}.rope.scaling.original_context_length"] = NEAR
        for which in ("short", "long"):
            arrays[f"rope_factors_{which}.weight"] = np.array(LONG[f"{which}_factor"], np.float32)
    return write_gguf(file, facts, arrays)


@pytest.mark.parametrize("kind", ["olmo2", "olmo3", "exaone4", "hunyuan-dense", "qwen3", "phi3", "gptneox", "phi2"])
def test_a_gguf_gives_the_same_model(tmp_path: Path, kind: str) -> None:
    if core() is None and REACH.get(kind) == 0:
        pytest.skip("the step engine is not compiled here")
    repository = made(
        write(
            tmp_path / "hub",
            kind,
            rms_norm_eps=float(np.float32(1e-6 if kind == "qwen3" else 1e-5)),
            layer_norm_eps=float(np.float32(1e-5)),
        ),
        tmp_path / "models",
        "hub",
    )
    gguf = made(gguf_of(kind, tmp_path / "a.gguf"), tmp_path / "models", "gguf")
    assert gguf.path("config.json").read_bytes() == repository.path("config.json").read_bytes()
    assert gguf.path("model.bin").read_bytes() == repository.path("model.bin").read_bytes()
    assert gguf.context_length_tokens == repository.context_length_tokens


def test_every_page_here_is_in_the_table() -> None:
    assert {config["architectures"][0] for config in KINDS.values()} <= set(PAGES)
