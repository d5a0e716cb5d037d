"""A GGUF's facts and tensors under the names in the model's hub repository.

This module undoes the changes of llama.cpp's converter: reordered rows of queries and keys, norms stored plus one,
transposed matrices. So a family's page reads both sources.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.convert.contract import CannotConvert
from models.convert.tensors.base import Changed, Floats, Picked, Tensor, Tensors, Transposed, whole

_BLOCK = re.compile(r"blk\.(\d+)\.([a-z_0-9]+)\.(weight|bias)")
_ENDS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output_norm.bias": "model.norm.bias",
    "output.weight": "lm_head.weight",
}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_AROUND = {
    **_LAYER,
    "ffn_norm": "pre_feedforward_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_AFTER = {
    **{name: hub for name, hub in _LAYER.items() if name not in ("attn_norm", "ffn_norm")},
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_HUNYUAN = {**_LAYER, "attn_q_norm": "self_attn.query_layernorm", "attn_k_norm": "self_attn.key_layernorm"}
_PHI2 = {**_LAYER, "attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"}
_PHI2_ENDS = {
    **_ENDS,
    "output_norm.weight": "model.final_layernorm.weight",
    "output_norm.bias": "model.final_layernorm.bias",
    "output.bias": "lm_head.bias",
}
_GPT_NEOX = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "attention.query_key_value",
    "attn_output": "attention.dense",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
}
_GPT_NEOX_ENDS = {
    "token_embd.weight": "gpt_neox.embed_in.weight",
    "output_norm.weight": "gpt_neox.final_layer_norm.weight",
    "output_norm.bias": "gpt_neox.final_layer_norm.bias",
    "output.weight": "embed_out.weight",
}
_GPT2 = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
_STARCODER2 = {**_LAYER, "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
_PHI3 = {**_LAYER, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
_GPT2_ENDS = {
    "token_embd.weight": "transformer.wte.weight",
    "position_embd.weight": "transformer.wpe.weight",
    "output_norm.weight": "transformer.ln_f.weight",
    "output_norm.bias": "transformer.ln_f.bias",
    "output.weight": "lm_head.weight",
}
_KEYS = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
    "attention.sliding_window": "sliding_window",
    "rope.freq_base": "rope_theta",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "attention.scale": "attention_multiplier",
    "logit_scale": "logits_scaling",
    "expert_shared_feed_forward_length": "shared_intermediate_size",
    "use_parallel_residual": "use_parallel_residual",
}
_LONG = "rope_factors_long.weight"
_COMPUTED = ("rope_freqs.weight", _LONG, "rope_factors_short.weight")
"""Tensors that are facts: `config_of` reads them."""
_LLAMA3_FACTORS = (8.0, 32.0, 16.0, 4.0)
_LLAMA3_ORIGINAL_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Dialect:
    """llama.cpp's form of one family."""

    architecture: str
    layer: Mapping[str, str] = field(default_factory=lambda: _LAYER)
    ends: Mapping[str, str] = field(default_factory=lambda: _ENDS)
    prefix: str = "model.layers."
    permuted: bool = False
    """True if the converter reordered the rows of queries and keys so that neighbours rotate together."""
    norm_less: float = 0.0
    """The number that the converter added to the norms."""
    by_head: bool = False
    """True if the hub's files have a head's queries, keys and values side by side, not all queries first."""
    turned: bool = False
    """True if the hub's files have the layers' matrices transposed."""
    facts: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda config: {}
    """Further values in the hub's configuration."""


def _gemma_scale(layers_of_27b: int) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    def facts(config: dict[str, Any]) -> Mapping[str, Any]:
        """The largest models scale queries by the width divided by the heads, all others by the head's own size."""
        is_27b = config.get("num_hidden_layers") == layers_of_27b
        return {"query_pre_attn_scalar": _head_dim({**config, "head_dim": None} if is_27b else config)}

    return facts


def _gpt2(config: dict[str, Any]) -> Mapping[str, Any]:
    names = {"num_hidden_layers": "n_layer", "hidden_size": "n_embd", "num_attention_heads": "n_head",
             "max_position_embeddings": "n_positions", "intermediate_size": "n_inner"}  # fmt: skip
    return {new: config[old] for old, new in names.items() if old in config}


def _starcoder2(config: dict[str, Any]) -> Mapping[str, Any]:
    return {"norm_epsilon": config.get("layer_norm_epsilon"), "use_bias": config["attention_bias"]}


def _head_dim(config: Mapping[str, Any]) -> int:
    """The size of a head: stated, or the width divided by the heads.

    Raises:
        CannotConvert: the file does not state the sizes for it.
    """
    sizes = [config.get(name) for name in ("head_dim", "hidden_size", "num_attention_heads")]
    stated, width, heads = (size if type(size) is int and size > 0 else 0 for size in sizes)
    if not stated and not (width and heads):
        raise CannotConvert("The GGUF is damaged: it does not say how wide the model is, or how many heads it has.")
    return stated or max(1, width // heads)


def _granite4(config: dict[str, Any]) -> Mapping[str, Any]:
    """Granite 4 without Mamba and experts: the inner layer is the one that would be shared."""
    shared = config.get("shared_intermediate_size")
    return {"intermediate_size": shared} if shared else {}


def _minicpm(config: dict[str, Any]) -> Mapping[str, Any]:
    """MiniCPM is Granite with queries scaled as usual."""
    return {"attention_multiplier": _head_dim(config) ** -0.5}


def _layer_norm(config: dict[str, Any]) -> Mapping[str, Any]:
    return {"layer_norm_eps": config.get("layer_norm_epsilon"), "attention_bias": True}


def _olmo(config: dict[str, Any]) -> Mapping[str, Any]:
    """GGUF files call OLMo 3 OLMo 2; it has windows."""
    return {"architectures": ["Olmo3ForCausalLM"]} if "sliding_window" in config else {}


def _exaone4(config: dict[str, Any]) -> Mapping[str, Any]:
    return {"sliding_window": config.get("sliding_window")}


def _window_off(config: dict[str, Any]) -> Mapping[str, Any]:
    return {"sliding_window": None}


DIALECTS: Mapping[str, Dialect] = {
    "llama": Dialect("LlamaForCausalLM", permuted=True, facts=_window_off),
    "qwen2": Dialect("Qwen2ForCausalLM"),
    "qwen3": Dialect("Qwen3ForCausalLM"),
    "gemma": Dialect("GemmaForCausalLM", norm_less=1.0),
    "gemma2": Dialect("Gemma2ForCausalLM", _AROUND, norm_less=1.0, facts=_gemma_scale(46)),
    "gemma3": Dialect("Gemma3ForCausalLM", _AROUND, norm_less=1.0, facts=_gemma_scale(62)),
    "granite": Dialect("GraniteForCausalLM", permuted=True, facts=_granite4),
    "granitehybrid": Dialect("GraniteForCausalLM", permuted=True, facts=_granite4),
    "minicpm": Dialect("GraniteForCausalLM", permuted=True, facts=_minicpm),
    "olmo2": Dialect("Olmo2ForCausalLM", _AFTER, facts=_olmo),
    "exaone4": Dialect("Exaone4ForCausalLM", _AFTER, facts=_exaone4),
    "hunyuan-dense": Dialect("HunYuanDenseV1ForCausalLM", _HUNYUAN),
    "phi2": Dialect("PhiForCausalLM", _PHI2, _PHI2_ENDS, facts=_layer_norm),
    "gptneox": Dialect(
        "GPTNeoXForCausalLM", _GPT_NEOX, _GPT_NEOX_ENDS, "gpt_neox.layers.", by_head=True, facts=_layer_norm
    ),
    "smollm3": Dialect("SmolLM3ForCausalLM", permuted=True),
    "ernie4_5": Dialect("Ernie4_5ForCausalLM"),
    "starcoder2": Dialect("Starcoder2ForCausalLM", _STARCODER2, facts=_starcoder2),
    "phi3": Dialect("Phi3ForCausalLM", _PHI3),
    "gpt2": Dialect("GPT2LMHeadModel", _GPT2, _GPT2_ENDS, "transformer.h.", turned=True, facts=_gpt2),
}
"""By ``general.architecture``."""


def dialect_of(facts: Mapping[str, Any]) -> Dialect:
    """llama.cpp's form of the file's family.

    Raises:
        CannotConvert: the family is unknown.
    """
    name = facts.get("general.architecture")
    found = DIALECTS.get(name) if isinstance(name, str) else None
    if found is None:
        known = ", ".join(sorted(DIALECTS))
        raise CannotConvert(f"The GGUF holds a model of the architecture {str(name)[:40]!r}; known here: {known}.")
    return found


def config_of(facts: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """The configuration that the hub's repository would have.

    Raises:
        CannotConvert: the file has a fact or a part that no engine here computes.
    """
    dialect, name = dialect_of(facts), facts["general.architecture"]
    if facts.get(f"{name}.expert_count"):
        raise CannotConvert("The GGUF holds a mixture of experts, which no engine here computes.")
    config: dict[str, Any] = {"architectures": [dialect.architecture], "model_type": name}
    for key, named in _KEYS.items():
        value = facts.get(f"{name}.{key}")
        if isinstance(value, list):  # one for each layer
            if len(set(value)) != 1:
                raise CannotConvert(f"The GGUF's layers differ in their {key}, which no engine here computes.")
            value = value[0]
        if value is not None:
            config[named] = value
    if "token_embd.weight" not in tensors:
        raise CannotConvert("The GGUF lacks weights: token_embd.weight. It may be a vocabulary alone.")
    config["vocab_size"] = tensors["token_embd.weight"].shape[0]
    config["tie_word_embeddings"] = "output.weight" not in tensors
    config["attention_bias"] = "blk.0.attn_q.bias" in tensors
    pattern = facts.get(f"{name}.attention.sliding_window_pattern")
    if isinstance(pattern, list):
        config["layer_types"] = ["sliding_attention" if windowed else "full_attention" for windowed in pattern]
    config |= dialect.facts(config)
    scaling = _scaling(facts, name, tensors)
    if scaling:
        config["rope_scaling"] = scaling
    rotated = facts.get(f"{name}.rope.dimension_count")
    if type(rotated) is int and rotated != _head_dim(config):
        config["partial_rotary_factor"] = rotated / _head_dim(config)
    return config


def hub_tensors(facts: Mapping[str, Any], tensors: Tensors, config: Mapping[str, Any]) -> Tensors:
    """The tensors by the hub's names; an unknown tensor keeps its own name, and the page refuses it."""
    dialect = dialect_of(facts)
    layer, ends = dialect.layer, dialect.ends
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = _BLOCK.fullmatch(name)
        if name in _COMPUTED:
            continue
        if match is None or match[2] not in layer:
            hub = ends.get(name, name)
        else:
            hub = f"{dialect.prefix}{match[1]}.{layer[match[2]]}.{match[3]}"
        found[hub] = _undone(tensor, name, dialect, config)
    return found


def _undone(tensor: Tensor, name: str, dialect: Dialect, config: Mapping[str, Any]) -> Tensor:
    if dialect.norm_less and name.endswith("norm.weight"):
        less = np.float32(dialect.norm_less)
        return Changed(tensor, lambda rows, where: rows - less)
    if dialect.permuted and ".attn_q." in name:
        return _unpermuted(tensor, config.get("num_attention_heads"))
    if dialect.permuted and ".attn_k." in name:
        return _unpermuted(tensor, config.get("num_key_value_heads", config.get("num_attention_heads")))
    if dialect.by_head and ".attn_qkv." in name:
        return _by_head(tensor, config.get("num_attention_heads"))
    if dialect.turned and name.startswith("blk.") and len(tensor.shape) == 2:
        return Transposed(tensor)
    return tensor


def _unpermuted(tensor: Tensor, heads: Any) -> Tensor:
    """Reorder each head's rows so that halves rotate together instead of neighbours."""
    rows = tensor.shape[0]
    if type(heads) is not int or heads < 1 or rows % (2 * heads):
        raise CannotConvert("The GGUF is damaged: its queries or keys are no whole heads.")
    order = np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(rows)
    return Picked(tensor, order)


def _by_head(tensor: Tensor, heads: Any) -> Tensor:
    """Regroup the rows of all queries, keys and values by head."""
    rows = tensor.shape[0]
    if type(heads) is not int or heads < 1 or rows % (3 * heads):
        raise CannotConvert("The GGUF is damaged: its queries or keys are no whole heads.")
    return Picked(tensor, np.arange(rows).reshape(3, heads, -1).swapaxes(0, 1).reshape(rows))


def _scaling(facts: Mapping[str, Any], name: str, tensors: Tensors) -> dict[str, Any]:
    kind = facts.get(f"{name}.rope.scaling.type")
    if "rope_factors_short.weight" in tensors:
        return {
            "rope_type": "longrope",
            "short_factor": whole(tensors["rope_factors_short.weight"]).reshape(-1).tolist(),
            "long_factor": whole(tensors[_LONG]).reshape(-1).tolist() if _LONG in tensors else None,
            "attention_factor": facts.get(f"{name}.rope.scaling.attn_factor"),
            "original_max_position_embeddings": facts.get(f"{name}.rope.scaling.original_context_length"),
        }
    if "rope_freqs.weight" in tensors:
        base = facts.get(f"{name}.rope.freq_base", 10000.0)
        if not isinstance(base, float) or not 0 < base < float("inf"):
            raise CannotConvert("The GGUF is damaged: the base of its positions is no number.")
        return _llama3(whole(tensors["rope_freqs.weight"]).reshape(-1), base)
    if kind in (None, "none"):
        return {}
    found = {
        "rope_type": str(kind),
        "factor": facts.get(f"{name}.rope.scaling.factor"),
        "original_max_position_embeddings": facts.get(f"{name}.rope.scaling.original_context_length"),
    }
    if kind == "yarn":
        names = {"attn_factor": "attention_factor", "yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}
        found |= {hub: facts.get(f"{name}.rope.scaling.{theirs}") for theirs, hub in names.items()}
    return found


def _llama3(found: Floats, base: float) -> dict[str, Any]:
    """Llama 3.1's scaling, recognised by its factors for all frequencies."""
    for factor in _LLAMA3_FACTORS:
        scaling = {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": _LLAMA3_ORIGINAL_TOKENS,
        }
        if np.allclose(llama3_factors(len(found), base, factor), found, rtol=1e-3):
            return scaling
    raise CannotConvert(
        "The GGUF scales positions by factors (rope_freqs) that are not Llama 3's, which is not computed."
    )


def llama3_factors(count: int, base: float, factor: float) -> Floats:
    """Llama 3.1's divisor of each frequency; slow frequencies have the largest."""
    lengths = 2 * np.pi * base ** (np.arange(count) / count)
    low, high = float(_LLAMA3_ORIGINAL_TOKENS), _LLAMA3_ORIGINAL_TOKENS / 4.0
    smooth = (_LLAMA3_ORIGINAL_TOKENS / lengths - 1) / 3
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.asarray(np.where(lengths < high, 1, np.where(lengths > low, factor, between)), np.float32)
