"""OLMo 2 and 3: Llama with norms only after each half of a layer, and one norm over all heads of queries."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from models.convert.architectures import llama
from models.convert.architectures.page import Page
from models.convert.network import Decoder, Rope
from models.convert.rope import rope_of
from models.convert.stated import Stated

NORMS: llama.Names = {
    "post_attention_layer_norm": "post_attention_layernorm",
    "post_feedforward_layer_norm": "post_feedforward_layernorm",
}
"""The norms of every family with norms only after each half."""


def _olmo2(stated: Stated) -> Decoder:
    return replace(llama.LLAMA.facts(stated), norms="after", qk_norm="all")


def _olmo3(stated: Stated) -> Decoder:
    """Layers with a window, three of four, keep the positions of the original context."""
    decoder = _olmo2(stated)
    usual = ["sliding_attention" if (i + 1) % 4 else "full_attention" for i in range(decoder.layers)]
    types, window = stated.layer_types(usual), stated.window()
    is_new = stated.has("rope_parameters")
    local = rope_of(stated, decoder.head_dim, "sliding_attention") if is_new else Rope(decoder.ropes[0].base)
    return replace(
        decoder,
        windows=tuple(window if kind == "sliding_attention" else 0 for kind in types),
        ropes=tuple(local if kind == "sliding_attention" else decoder.ropes[0] for kind in types),
    )


_DEFAULTS: Mapping[str, Any] = {**llama.DEFAULTS, "vocab_size": 50304, "rms_norm_eps": 1e-5}
_weights = partial(llama.weights, norms=NORMS)
OLMO2 = Page(_olmo2, _weights, _DEFAULTS)
OLMO3 = Page(_olmo3, _weights, {**_DEFAULTS, "rope_theta": 500000.0, "sliding_window": 4096})
