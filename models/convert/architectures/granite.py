"""Granite 3, Granite 4 without experts, and MiniCPM: Llama with factors, which become part of the weights.

The outputs of each half of a layer and the logits are scaled; these factors move into the matrices before. The scale of
queries and the factor of embeddings are facts of any decoder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights
from models.convert.contract import CannotConvert
from models.convert.network import Decoder
from models.convert.stated import Stated
from models.convert.tensors.base import part

_DEFAULTS: Mapping[str, Any] = {
    **llama.DEFAULTS,
    "embedding_multiplier": 1.0,
    "logits_scaling": 1.0,
    "residual_multiplier": 1.0,
    "attention_multiplier": 1.0,
}


def _granite(stated: Stated) -> Decoder:
    decoder = llama.LLAMA.facts(stated)
    added, logits = stated.number("residual_multiplier"), 1 / stated.number("logits_scaling")
    return replace(
        _scaled(decoder, stated.number("embedding_multiplier"), added, logits),
        query_scale=stated.number("attention_multiplier"),
    )


def _granite4(stated: Stated) -> Decoder:
    types = stated.get("layer_types") or stated.get("layers_block_type") or ["mamba"]
    if stated.get("num_local_experts") or any(kind not in ("attention", "full_attention") for kind in types):
        raise CannotConvert("config.json has layers of Mamba or experts, which no engine here computes.")
    if stated.get("position_embedding_type") != "rope":
        raise CannotConvert("config.json has no positions (position_embedding_type), which no engine here computes.")
    return replace(_granite(stated), inner=stated.integer("shared_intermediate_size"))


def _minicpm(stated: Stated) -> Decoder:
    decoder = llama.LLAMA.facts(stated)
    added = stated.number("scale_depth") / decoder.layers**0.5
    logits = stated.number("dim_model_base") / decoder.width
    return _scaled(decoder, stated.number("scale_emb"), added, logits)


def _scaled(decoder: Decoder, embeddings: float, added: float, logits: float) -> Decoder:
    ends = {"o_proj.weight": added, "o_proj.bias": added, "down_proj.weight": added, "down_proj.bias": added}
    return replace(
        decoder,
        embedding_factor=None if embeddings == 1 else embeddings,
        factors={**ends, "output_linear.weight": added},
        logits_factor=logits,
    )


def _granite4_weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    """The file calls the inner layer shared, since other sizes have experts beside it; it joins the layer's two
    halves.
    """
    yield from llama.ends(d, take, f"model.{llama.EMBEDDINGS}", f"model.{llama.FINAL_NORM}")
    for i in range(d.layers):
        layer, here = f"model.layers.{i}.", f"layer_{i}/"
        for target, name in llama.NORMS.items():
            yield f"{here}{target}/gamma", take.take(f"{layer}{name}.weight", d.width)
        yield from llama.attention(d, take, f"{layer}self_attn.", f"{here}self_attention/")
        both = take.take(f"{layer}shared_mlp.input_linear.weight", 2 * d.inner, d.width)
        yield f"{here}ffn/linear_0/weight", part(both, 0, d.inner)
        yield f"{here}ffn/linear_0_noact/weight", part(both, d.inner, 2 * d.inner)
        yield f"{here}ffn/linear_1/weight", take.take(f"{layer}shared_mlp.output_linear.weight", d.width, d.inner)


GRANITE = Page(_granite, llama.weights, _DEFAULTS)
GRANITE4 = Page(_granite4, _granite4_weights, {**_DEFAULTS, "shared_intermediate_size": 1024, "num_local_experts": 8})
MINICPM = Page(_minicpm, llama.weights, llama.DEFAULTS)
