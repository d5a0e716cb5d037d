"""SmolLM3: Llama without positions in every fourth layer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from models.convert.architectures import llama
from models.convert.architectures.page import Page
from models.convert.contract import CannotConvert
from models.convert.network import Decoder, Rope
from models.convert.stated import Stated

STILL = Rope(10000.0, "linear", 1e30)
"""A divisor that makes all positions alike: no position turns a head by an amount that a float can represent."""


def _facts(stated: Stated) -> Decoder:
    decoder = llama.LLAMA.facts(stated)
    stated.require(use_sliding_window=False)
    every = stated.integer("no_rope_layer_interval")
    turning = stated.get("no_rope_layers") or [int((i + 1) % every != 0) for i in range(decoder.layers)]
    if not isinstance(turning, list) or len(turning) != decoder.layers:
        raise CannotConvert("config.json: no_rope_layers does not say of each layer whether it has positions.")
    ropes = (rope if turns else STILL for turns, rope in zip(turning, decoder.ropes, strict=True))
    return replace(decoder, ropes=tuple(ropes))


_DEFAULTS: Mapping[str, Any] = {
    **llama.DEFAULTS,
    "vocab_size": 128256,
    "hidden_size": 2048,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "rope_theta": 2000000.0,
    "no_rope_layer_interval": 4,
    "tie_word_embeddings": True,
}
SMOLLM3 = Page(_facts, llama.weights, _DEFAULTS)
