"""Small random models of each family, written by CTranslate2's own writer: a few hundred kilobytes each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import attention_spec, common_spec, transformer_spec

from models.convert.four_bits import four_bits
from models.convert.model_bin import write_model
from models.convert.network import FOUR_BIT_REVISION, OWN_SPECIFICATION
from models.convert.tensors.base import Floats, WeightFile
from models.convert.tensors.ctranslate2 import read_model_file

VOCABULARY = 199
WIDTH = 72  # not a multiple of 16: padding must not leak into results


@dataclass(frozen=True)
class Family:
    """How one family's converter fills the format."""

    options: dict[str, Any]
    heads: int = 4
    layers: int = 2
    bias: bool = False
    tied: bool = False
    scale_embeddings: bool = False
    plus_one: bool = False
    positions: int = 0
    change: Callable[[Any], None] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    """More of config.json."""
    own: bool = False
    """Whether CTranslate2 does not compute it, so that the file has a specification of ours."""


LLAMA: dict[str, Any] = {
    "activation": common_spec.Activation.SWISH,
    "ffn_glu": True,
    "rms_norm": True,
    "rotary_dim": 0,
    "rotary_interleave": False,
    "num_heads_kv": 2,
    "head_dim": 16,
}
GPT2: dict[str, Any] = {"activation": common_spec.Activation.GELUTanh, "head_dim": 16}
GEMMA: dict[str, Any] = {**LLAMA, "activation": common_spec.Activation.GELUTanh}


def ctranslate2s_llama3(spec: Any) -> None:
    """What CTranslate2's converter says of Llama 3.1's positions, which is not enough."""
    for layer in spec.decoder.layer:
        layer.self_attention.rotary_low_freq_factor = 1.0
        layer.self_attention.rotary_high_freq_factor = 4.0


def _llama3(spec: Any) -> None:
    ctranslate2s_llama3(spec)
    for layer in spec.decoder.layer:
        object.__setattr__(layer.self_attention, "original_max_position_embeddings", np.int32(32))
        object.__setattr__(layer.self_attention, "rotary_scaling_factor", np.float32(8.0))


def _gemma2(spec: Any) -> None:
    """What a converter has to add: see server/engines/step/support.py."""
    for number, layer in enumerate(spec.decoder.layer):
        object.__setattr__(layer.self_attention, "sliding_window", np.int32(0 if number % 2 else 24))


def _gemma3(spec: Any) -> None:
    for number, layer in enumerate(spec.decoder.layer):
        if number % 2:
            layer.self_attention.rotary_base = np.float32(1_000_000)


def _layers(change: Callable[[Any], None]) -> Callable[[Any], None]:
    def every(spec: Any) -> None:
        for layer in spec.decoder.layer:
            change(layer)

    return every


def _norms_behind(layer: Any) -> None:
    for name in ("input_layer_norm", "pre_feedforward_layer_norm"):
        delattr(layer, name)


def _all_heads(layer: Any) -> None:
    _norms_behind(layer)
    for name, heads in (("q_norm", 4), ("k_norm", 2)):
        gamma = np.random.default_rng(heads).uniform(0.5, 1.5, heads * 16).astype(np.float32)
        getattr(layer.self_attention, name).gamma = gamma


def _rotated_first(layer: Any) -> None:
    object.__setattr__(layer.self_attention, "qk_norm_after_rotation", np.int8(1))


def _yarn(layer: Any) -> None:
    attention = layer.self_attention
    object.__setattr__(attention, "rotary_scaling_type", np.int8(1))
    object.__setattr__(attention, "rotary_scaling_short_factor", np.linspace(1, 8, 8, dtype=np.float32))
    object.__setattr__(attention, "rotary_attention_factor", np.float32(1.5))


def _longrope(layer: Any) -> None:
    layer.self_attention.rotary_scaling_short_factor = np.linspace(1, 3, 8, dtype=np.float32)
    layer.self_attention.rotary_scaling_long_factor = np.linspace(2, 30, 8, dtype=np.float32)


def _mixed(spec: Any) -> None:
    """As OLMo 3: a window on every other layer; those without have scaled positions."""
    for number, layer in enumerate(spec.decoder.layer):
        _norms_behind(layer)
        object.__setattr__(layer.self_attention, "sliding_window", np.int32(0 if number % 2 else 24))
        if number % 2:
            _yarn(layer)


NEAR_TOKENS = 32
"""The original context of "longrope"."""
FAMILIES = {
    "llama": Family(LLAMA),
    "llama-tied-many-heads": Family({**LLAMA, "num_heads_kv": None}, tied=True),
    "llama-interleaved": Family({**LLAMA, "rotary_interleave": True}),
    "llama-linear": Family(
        {**LLAMA, "rotary_scaling_type": attention_spec.RotaryScalingType.Linear, "rotary_scaling_factor": 4.0}
    ),
    "llama3": Family({**LLAMA, "rotary_scaling_type": attention_spec.RotaryScalingType.Llama3}, change=_llama3),
    "qwen2": Family(LLAMA, bias=True, tied=True),
    "qwen3": Family({**LLAMA, "qk_norm": True, "head_dim": 32, "rotary_dim": 32}, heads=4),
    "mistral": Family({**LLAMA, "sliding_window": 24}),
    "gpt2": Family(GPT2, bias=True, tied=True, positions=128),
    "gemma": Family({**GEMMA, "num_heads_kv": 1}, tied=True, scale_embeddings=True, plus_one=True),
    "gemma2": Family(
        {**GEMMA, "pre_post_layer_norm": True},
        tied=True,
        scale_embeddings=True,
        plus_one=True,
        change=_gemma2,
        config={"final_logit_softcap": 3.0, "attention_logit_softcap": 2.0},
    ),
    "gemma3": Family(
        {**GEMMA, "qk_norm": True, "pre_post_layer_norm": True},
        tied=True,
        scale_embeddings=True,
        plus_one=True,
        change=_gemma3,
    ),
    "olmo2": Family(
        {**LLAMA, "qk_norm": True, "pre_post_layer_norm": True}, change=_layers(_all_heads), own=True, heads=4
    ),
    "exaone4": Family({**LLAMA, "qk_norm": True, "pre_post_layer_norm": True}, change=_mixed, own=True),
    "hunyuan": Family({**LLAMA, "qk_norm": True}, change=_layers(_rotated_first), own=True),
    "yarn": Family(LLAMA, change=_layers(_yarn), own=True),
    "longrope": Family(
        {
            **LLAMA,
            "rotary_scaling_type": attention_spec.RotaryScalingType.Su,
            "original_max_position_embeddings": NEAR_TOKENS,
            "max_position_embeddings": 128,
        },
        change=_layers(_longrope),
    ),
    "gpt-neox": Family({**GPT2, "rotary_dim": 8, "rotary_interleave": False, "parallel_residual": True}, bias=True),
    "gptj": Family({**GPT2, "rotary_dim": 8, "parallel_residual": True, "shared_layer_norm": True}, bias=True),
}


class _OwnSpec(transformer_spec.TransformerDecoderModelSpec):
    """CTranslate2's writer under our specification's name."""

    @property
    def name(self) -> str:
        """What CTranslate2 refuses."""
        return "HearthDecoderSpec"

    @property
    def revision(self) -> int:
        """The first."""
        return 1


def write(
    folder: Path,
    family: Family,
    *,
    seed: int = 0,
    quantization: str | None = "int8_float32",
    vocabulary: int = VOCABULARY,
) -> Path:
    """Write a random model of the family."""
    random = np.random.default_rng(seed)
    options = dict(family.options)
    kind = _OwnSpec if family.own else transformer_spec.TransformerDecoderModelSpec
    spec = kind.from_config(family.layers, family.heads, **options)
    head_dim = options["head_dim"]
    kv_heads = options.get("num_heads_kv") or family.heads
    inner = 100

    def matrix(outputs: int, inputs: int) -> Any:
        return random.normal(0, 1.6 / np.sqrt(inputs), (outputs, inputs)).astype(np.float32)

    def linear(target: Any, outputs: int, inputs: int) -> None:
        target.weight = matrix(outputs, inputs)
        if family.bias:
            target.bias = random.normal(0, 0.2, outputs).astype(np.float32)

    def norm(target: Any, size: int) -> None:
        target.gamma = random.uniform(0.5, 1.5, size).astype(np.float32) - (1.0 if family.plus_one else 0.0)
        target.gamma = target.gamma.astype(np.float32)
        if hasattr(target, "beta"):
            target.beta = random.normal(0, 0.1, size).astype(np.float32)
        if family.plus_one:
            target.layer_norm_use_residual = True

    decoder = spec.decoder
    decoder.scale_embeddings = family.scale_embeddings
    decoder.embeddings.weight = matrix(vocabulary, WIDTH) * (1.0 if family.scale_embeddings else 3.0)
    decoder.projection.weight = decoder.embeddings.weight.copy() if family.tied else matrix(vocabulary, WIDTH) * 2
    if family.positions:
        decoder.position_encodings.encodings = random.normal(0, 0.5, (family.positions, WIDTH)).astype(np.float32)
    norm(decoder.layer_norm, WIDTH)
    for layer in decoder.layer:
        attention = layer.self_attention
        linear(attention.linear[0], (family.heads + 2 * kv_heads) * head_dim, WIDTH)
        linear(attention.linear[1], WIDTH, family.heads * head_dim)
        linear(layer.ffn.linear_0, inner, WIDTH)
        if options.get("ffn_glu"):
            linear(layer.ffn.linear_0_noact, inner, WIDTH)
        linear(layer.ffn.linear_1, WIDTH, inner)
        if options.get("qk_norm"):
            norm(attention.q_norm, head_dim)
            norm(attention.k_norm, head_dim)
        if options.get("pre_post_layer_norm"):
            for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
                norm(getattr(layer, f"{name}_layer_norm"), WIDTH)
        elif options.get("shared_layer_norm"):
            norm(layer.shared_layer_norm, WIDTH)
        elif options.get("parallel_residual"):
            norm(layer.input_layer_norm, WIDTH)
            norm(layer.post_attention_layer_norm, WIDTH)
        else:
            norm(attention.layer_norm, WIDTH)
            norm(layer.ffn.layer_norm, WIDTH)
    if family.change is not None:
        family.change(spec)
    spec.config.layer_norm_epsilon = 1e-5 if options.get("rms_norm") is None else 1e-6
    for key, value in family.config.items():
        spec.config.add_attribute(key, value)
    spec.register_vocabulary([f"t{i}" for i in range(vocabulary)])
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    return folder


def in_layers(name: str) -> bool:
    """Whether a variable is a matrix of a layer, which the converter writes in four bits."""
    return "layer_" in name and name.endswith("/weight")


def importance(inputs: int) -> Floats:
    """Some numbers in place of the inputs' mean squares."""
    return np.random.default_rng(inputs).uniform(0.5, 2, inputs).astype(np.float32)


def write_four_bits(
    folder: Path, of: Path, chosen: Callable[[str], bool] = in_layers, revision: int = FOUR_BIT_REVISION
) -> Path:
    """Write a folder's model with some of its matrices in four bits."""
    folder.mkdir(parents=True)
    for name in ("config.json", "vocabulary.json"):
        (folder / name).write_bytes((of / name).read_bytes())
    file = WeightFile(of / "model.bin")
    model = read_model_file(file)
    fours = {
        name: partial(four_bits, importance=importance(each.shape[1]))
        for name, each in model.tensors.items()
        if chosen(name)
    }
    every = {**model.scalars, **model.tensors}
    write_model(folder / "model.bin", OWN_SPECIFICATION, revision, every, "int8", fours)
    file.close()
    return folder


def in_four_bits(variables: Mapping[str, Floats], chosen: Callable[[str], bool] = in_layers) -> dict[str, Floats]:
    """The same variables as the numbers that four bits say."""
    return {
        name: four_bits(value, importance(value.shape[1])).floats(value.shape[1]) if chosen(name) else value
        for name, value in variables.items()
    }
