"""Qwen 2, 2.5 and 3, without mixtures of experts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from models.convert.architectures.llama import DEFAULTS, common, weights
from models.convert.architectures.page import Page
from models.convert.network import Decoder
from models.convert.stated import Stated

_DEFAULTS: Mapping[str, Any] = {
    **DEFAULTS,
    "vocab_size": 151936,
    "intermediate_size": 22016,
    "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
    "sliding_window": 4096,
    "max_window_layers": 28,
}


def _qwen2(stated: Stated) -> Decoder:
    return Decoder(**common(stated), windows=_windows(stated), biased=frozenset({"qkv"}))


def _qwen3(stated: Stated) -> Decoder:
    facts = common(stated)
    facts["ropes"] = tuple(replace(rope, dimensions=facts["head_dim"]) for rope in facts["ropes"])
    biased = frozenset({"qkv", "out"}) if stated.flag("attention_bias") else frozenset[str]()
    return Decoder(**facts, windows=_windows(stated), qk_norm="each", biased=biased)


def _windows(stated: Stated) -> tuple[int, ...]:
    layers = stated.layers()
    if not stated.flag("use_sliding_window") or stated.is_null("sliding_window"):
        return (0,) * layers
    first = stated.get("max_window_layers")
    usual = ["sliding_attention" if i >= first else "full_attention" for i in range(layers)]
    window = stated.integer("sliding_window")
    return tuple(window if kind == "sliding_attention" else 0 for kind in stated.layer_types(usual))


QWEN2 = Page(_qwen2, weights, _DEFAULTS)
QWEN3 = Page(_qwen3, weights, {**_DEFAULTS, "head_dim": 128})
