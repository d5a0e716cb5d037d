"""GPT-NeoX and Pythia: both halves of a layer read the same input; the file groups queries, keys and values by head."""

from collections.abc import Iterator

import numpy as np

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights, layer_norm, linear
from models.convert.network import Decoder, Norms
from models.convert.stated import Stated
from models.convert.tensors.base import Picked


def _facts(stated: Stated) -> Decoder:
    older = {"partial_rotary_factor": stated.get("rotary_pct"), **stated.table}
    older["rope_theta"] = stated.get("rotary_emb_base") or stated.get("rope_theta")
    facts = llama.common(Stated(older, {}), epsilon="layer_norm_eps", partly=True)
    biased = frozenset({"qkv", "out"}) if stated.flag("attention_bias") else frozenset[str]()
    norms: Norms = "parallel" if stated.flag("use_parallel_residual") else "before"
    return Decoder(**facts, norm="layer", norms=norms, gated=False, biased=biased | {"mlp"})


def _weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    table = take.take("gpt_neox.embed_in.weight", d.vocabulary, d.width)
    yield "embeddings/weight", table
    yield from layer_norm(take, "gpt_neox.final_layer_norm", "layer_norm", d.width)
    own = take.has("embed_out.weight") or not d.tied
    yield "projection/weight", take.take("embed_out.weight", d.vocabulary, d.width) if own else table
    parallel = d.norms == "parallel"
    norms = ("input_layer_norm", "post_attention_layer_norm") if parallel else tuple(llama.NORMS)
    # The file groups rows by head: its queries, its keys, its values.
    order = np.arange(3 * d.query_width).reshape(d.heads, 3, d.head_dim).swapaxes(0, 1).reshape(-1)
    for i in range(d.layers):
        layer, here = f"gpt_neox.layers.{i}.", f"layer_{i}/"
        for target, name in zip(norms, ("input_layernorm", "post_attention_layernorm"), strict=True):
            yield from layer_norm(take, f"{layer}{name}", f"{here}{target}", d.width)
        inputs, outputs = f"{here}self_attention/linear_0", f"{here}self_attention/linear_1"
        fused = linear(take, f"{layer}attention.query_key_value", inputs, len(order), d.width, biased="qkv" in d.biased)
        for name, tensor in fused:
            yield name, Picked(tensor, order)
        yield from linear(take, f"{layer}attention.dense", outputs, d.width, d.query_width, biased="out" in d.biased)
        yield from linear(take, f"{layer}mlp.dense_h_to_4h", f"{here}ffn/linear_0", d.inner, d.width)
        yield from linear(take, f"{layer}mlp.dense_4h_to_h", f"{here}ffn/linear_1", d.width, d.inner)


GPT_NEOX = Page(
    _facts,
    _weights,
    {
        "vocab_size": 50432,
        "hidden_size": 6144,
        "num_hidden_layers": 44,
        "num_attention_heads": 64,
        "intermediate_size": 24576,
        "hidden_act": "gelu",
        "max_position_embeddings": 2048,
        "layer_norm_eps": 1e-5,
        "rotary_pct": 0.25,
        "rope_theta": 10000.0,
        "use_parallel_residual": True,
        "attention_bias": True,
    },
)
