"""Gemma 1, 2 and 3: norms stored less one, embeddings times the root of their width, soft caps and windows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights
from models.convert.network import Decoder, Rope
from models.convert.rope import rope_of
from models.convert.stated import Stated

_NORMS: Mapping[str, str] = {
    "input_layer_norm": "input_layernorm",
    "post_attention_layer_norm": "post_attention_layernorm",
    "pre_feedforward_layer_norm": "pre_feedforward_layernorm",
    "post_feedforward_layer_norm": "post_feedforward_layernorm",
}
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 256000,
    "hidden_size": 3072,
    "intermediate_size": 24576,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
_DEFAULTS2: Mapping[str, Any] = {
    **_DEFAULTS,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
}
_DEFAULTS3: Mapping[str, Any] = {
    **_DEFAULTS2,
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
    "rope_theta": 1e6,
    "rope_local_base_freq": 10000.0,
    "sliding_window_pattern": 6,
    "final_logit_softcapping": None,
    "attn_logit_softcapping": None,
}


def _gemma(stated: Stated) -> Decoder:
    facts = llama.common(stated, "hidden_activation")
    stated.require(attention_bias=False)
    return Decoder(**facts, norm="rms plus one", embedding_factor=facts["width"] ** 0.5)


def _gemma2(stated: Stated) -> Decoder:
    return _windowed(stated, 2)


def _gemma3(stated: Stated) -> Decoder:
    stated.require(use_bidirectional_attention=False)
    pattern = stated.get("sliding_window_pattern") or stated.get("_sliding_window_pattern")
    decoder = _windowed(stated, pattern)
    is_new = stated.has("rope_parameters")
    local = rope_of(stated, decoder.head_dim, "sliding_attention") if is_new else _local(stated)
    ropes = (local if window else rope for window, rope in zip(decoder.windows, decoder.ropes, strict=True))
    return replace(decoder, qk_norm="each", ropes=tuple(replace(rope, dimensions=decoder.head_dim) for rope in ropes))


def _local(stated: Stated) -> Rope:
    return Rope(stated.number("rope_local_base_freq"))


def _windowed(stated: Stated, pattern: int) -> Decoder:
    decoder = _gemma(stated)
    usual = ["sliding_attention" if (i + 1) % pattern else "full_attention" for i in range(decoder.layers)]
    window = stated.integer("sliding_window")
    final, attention = (
        stated.number(name) if stated.has(name) and not stated.is_null(name) else None
        for name in ("final_logit_softcapping", "attn_logit_softcapping")
    )
    return replace(
        decoder,
        norms="around",
        windows=tuple(window if kind == "sliding_attention" else 0 for kind in stated.layer_types(usual)),
        query_scale=stated.number("query_pre_attn_scalar") ** -0.5,
        final_softcap=final,
        attention_softcap=attention,
    )


def _of_images(decoder: Decoder, take: Weights) -> Iterator[Variable]:
    """The text part of a model with vision, by its older or newer names."""
    prefixes = ("language_model.model.", "model.language_model.")
    prefix = next((each for each in prefixes if take.has(f"{each}{llama.EMBEDDINGS}")), prefixes[1])
    yield from llama.weights(decoder, take, prefix, _NORMS)


_around = partial(llama.weights, norms=_NORMS)
GEMMA = Page(_gemma, llama.weights, _DEFAULTS)
GEMMA2 = Page(_gemma2, _around, _DEFAULTS2)
GEMMA3 = Page(_gemma3, _around, _DEFAULTS3)
GEMMA3_OF_IMAGES = Page(
    _gemma3,
    _of_images,
    _DEFAULTS3,
    section="text_config",
    ignored=("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."),
)
