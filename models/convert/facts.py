"""What a decoder's configuration says beside its weights, written into CTranslate2's specification.

CTranslate2's converter maps the weights well and leaves out, or takes from where transformers 5 no longer keeps them,
much of the rest: Llama 3.1's scaling of positions, the bases of Gemma's, sliding windows of single layers, soft caps,
the scale of queries. Nothing warns of it: such a model is wrong, and more so the longer the text. So everything of this
kind is stated here again, whatever the converter wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.convert.contract import CannotConvert

_LINEAR, _LLAMA3 = 0, 2
"""CTranslate2's numbers for kinds of scaled positions."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was stated and matters outside the specification."""

    context_tokens: int
    windows: tuple[int, ...]
    """The sliding window of each layer; 0 where it sees all."""
    config: Mapping[str, float]
    """Keys for the folder's ``config.json``."""
    attention_softcap: float | None

    @property
    def window(self) -> int | None:
        """The smallest window there is."""
        return smallest(self.windows)

    @property
    def closed_loop_tokens(self) -> int | None:
        """See `models.cards.GenerationSpec`."""
        return 0 if self.attention_softcap else self.window


def smallest(windows: Sequence[int]) -> int | None:
    """The smallest of the windows that there are; None where all layers see all."""
    return min((window for window in windows if window), default=None)


def windows_of(config: Any) -> tuple[int, ...]:
    """The sliding window of each layer; 0 where it sees all.

    Raises:
        CannotConvert: a layer is of another kind.
    """
    types = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    return tuple(_window(config, kind) for kind in types)


def state_facts(spec: Any, config: Any) -> Facts:
    """Write all scalars of a decoder into its specification.

    Args:
        spec: CTranslate2's ``TransformerDecoderModelSpec``, with the weights.
        config: transformers' configuration of the text model.

    Raises:
        CannotConvert: the configuration asks for something that no engine here computes.
    """
    if config.model_type == "gpt2":
        return _gpt2(spec, config)
    layers = config.num_hidden_layers
    types = getattr(config, "layer_types", None) or ["full_attention"] * layers
    windows = windows_of(config)
    scale = getattr(config, "query_pre_attn_scalar", None)
    for layer, kind, window in zip(spec.decoder.layer, types, windows, strict=True):
        attention = layer.self_attention
        _rotary(attention, _rope(config, kind))
        _put(attention, "head_dim", np.int32(_head_dim(config)))
        _put(attention, "sliding_window", np.int32(window))
        if scale is not None:
            _put(attention, "queries_scale", np.float32(scale**-0.5))
    # CTranslate2 would cut its whole cache to this; the layers' own windows are what is meant.
    _put(spec.decoder, "sliding_window", np.int32(0))
    spec.config.layer_norm_epsilon = config.rms_norm_eps
    final, attention_cap = (
        getattr(config, name, None) for name in ("final_logit_softcapping", "attn_logit_softcapping")
    )
    stated = {}
    if final is not None:
        _put(spec.decoder, "final_logit_softcapping", np.float32(final))
    if config.model_type == "gemma2":
        stated = {"final_logit_softcap": float(final or 0), "attention_logit_softcap": float(attention_cap or 0)}
    return Facts(config.max_position_embeddings, windows, stated, attention_cap or None)


def _gpt2(spec: Any, config: Any) -> Facts:
    for name, wanted in (
        ("scale_attn_weights", True),
        ("scale_attn_by_inverse_layer_idx", False),
        ("add_cross_attention", False),
    ):
        if getattr(config, name, wanted) != wanted:
            raise CannotConvert(f"config.json has {name} = {getattr(config, name)}, which no engine here computes.")
    spec.config.layer_norm_epsilon = config.layer_norm_epsilon
    return Facts(config.n_positions, (0,) * config.n_layer, {}, None)


def _window(config: Any, kind: str) -> int:
    if kind == "sliding_attention":
        return int(config.sliding_window)
    if kind != "full_attention":
        raise CannotConvert(f"config.json has layers of the type {kind!r}, which no engine here computes.")
    # Mistral has one window for all layers, and no list of types.
    return int(config.sliding_window or 0) if config.model_type == "mistral" else 0


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _rope(config: Any, kind: str) -> Mapping[str, Any]:
    """The parameters of a layer's positions: in one place since transformers 5, by layer type where they differ."""
    parameters: Mapping[str, Any] = config.rope_parameters
    chosen: Mapping[str, Any] = parameters.get(kind, parameters)
    if chosen.get("partial_rotary_factor", 1.0) != 1.0:
        raise CannotConvert("config.json rotates a part of each head only, which no engine here computes.")
    return chosen


def _rotary(attention: Any, rope: Mapping[str, Any]) -> None:
    kind = rope.get("rope_type", "default")
    _put(attention, "rotary_base", np.float32(rope["rope_theta"]))
    if kind == "default":
        return
    if kind not in ("linear", "llama3"):
        raise CannotConvert(f"config.json scales positions by {kind!r}; known here: linear, llama3.")
    _put(attention, "rotary_scaling_type", np.int8(_LINEAR if kind == "linear" else _LLAMA3))
    _put(attention, "rotary_scaling_factor", np.float32(rope["factor"]))
    if kind == "llama3":
        _put(attention, "rotary_low_freq_factor", np.float32(rope["low_freq_factor"]))
        _put(attention, "rotary_high_freq_factor", np.float32(rope["high_freq_factor"]))
        original = np.int32(rope["original_max_position_embeddings"])
        _put(attention, "original_max_position_embeddings", original)


def _put(spec: Any, name: str, value: Any) -> None:
    """Set a value that the specification may not have declared."""
    object.__setattr__(spec, name, value)
