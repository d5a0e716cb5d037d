"""Phi-3, 3.5 and Phi-4-mini: fused matrices, rotation of a part of each head, positions stretched by ``longrope``."""

from collections.abc import Iterator

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights
from models.convert.network import Decoder
from models.convert.stated import Stated
from models.convert.tensors.base import part


def _facts(stated: Stated) -> Decoder:
    facts = llama.common(stated, partly=True)
    window = stated.window()
    return Decoder(**facts, windows=(0 if window >= facts["context_tokens"] else window,) * facts["layers"])


def _weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    yield from llama.ends(d, take, f"model.{llama.EMBEDDINGS}", f"model.{llama.FINAL_NORM}")
    rows = d.query_width + 2 * d.kv_width
    for i in range(d.layers):
        layer, here = f"model.layers.{i}.", f"layer_{i}/"
        for target, name in llama.NORMS.items():
            yield f"{here}{target}/gamma", take.take(f"{layer}{name}.weight", d.width)
        fused = take.take(f"{layer}self_attn.qkv_proj.weight", rows, d.width)
        yield f"{here}self_attention/linear_0/weight", fused
        out = take.take(f"{layer}self_attn.o_proj.weight", d.width, d.query_width)
        yield f"{here}self_attention/linear_1/weight", out
        both = take.take(f"{layer}mlp.gate_up_proj.weight", 2 * d.inner, d.width)
        yield f"{here}ffn/linear_0/weight", part(both, 0, d.inner)
        yield f"{here}ffn/linear_0_noact/weight", part(both, d.inner, 2 * d.inner)
        yield f"{here}ffn/linear_1/weight", take.take(f"{layer}mlp.down_proj.weight", d.width, d.inner)


PHI3 = Page(
    _facts,
    _weights,
    {
        "vocab_size": 32064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "hidden_act": "silu",
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
    },
)
