"""Phi-3 and Phi-4-mini: fused matrices, a part of each head rotates, and positions stretched by ``longrope``.

Within the context before the stretch, that is a factor of queries and keys alone, where its short factors are all one:
the factor becomes part of the weights. Beyond it, frequencies have factors of their own, which no engine here computes,
so the context ends there.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights
from models.convert.contract import CannotConvert
from models.convert.network import Decoder, Rope
from models.convert.stated import Stated
from models.convert.tensors.base import part, scaled


def _facts(stated: Stated) -> Decoder:
    written = stated.get("rope_parameters") or stated.get("rope_scaling") or {}
    if not isinstance(written, Mapping):
        raise CannotConvert("config.json: rope_parameters is no object.")
    plain = {"rope_parameters": None, "rope_scaling": None, "partial_rotary_factor": None}
    facts = llama.common(Stated({**stated.table, **plain}, {}))
    table = Stated({"rope_theta": stated.get("rope_theta"), **written}, {})
    share = table.number("partial_rotary_factor", stated.number("partial_rotary_factor", 1.0))
    rope = Rope(table.number("rope_theta"), dimensions=0 if share == 1 else int(facts["head_dim"] * share))
    factor, context = _stretched(stated, table, facts["context_tokens"])
    window = stated.window()
    return Decoder(
        **{**facts, "ropes": (rope,) * facts["layers"], "context_tokens": context},
        windows=(0 if window >= context else window,) * facts["layers"],
        rotated_factor=factor,
    )


def _stretched(stated: Stated, table: Stated, context: int) -> tuple[float, int]:
    """What queries and keys are multiplied with, and how far that is all."""
    kind = table.get("rope_type") or table.get("type") or "default"
    if kind == "default":
        return 1.0, context
    if kind not in ("longrope", "su"):
        raise CannotConvert(f"Positions are scaled by {kind!r}; computed here for this family: longrope.")
    short = table.get("short_factor")
    if not isinstance(short, list) or any(each != 1 for each in short):
        raise CannotConvert("Positions are scaled by 'longrope' with short factors: it is not computed.")
    original = table.integer("original_max_position_embeddings", stated.integer("original_max_position_embeddings"))
    times = context / original
    usual = math.sqrt(1 + math.log(times) / math.log(original)) if times > 1 else 1.0
    return table.number("attention_factor", usual), min(context, original)


def _weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    yield from llama.ends(d, take, f"model.{llama.EMBEDDINGS}", f"model.{llama.FINAL_NORM}")
    rows = d.query_width + 2 * d.kv_width
    for i in range(d.layers):
        layer, here = f"model.layers.{i}.", f"layer_{i}/"
        for target, name in llama.NORMS.items():
            yield f"{here}{target}/gamma", take.take(f"{layer}{name}.weight", d.width)
        fused = take.take(f"{layer}self_attn.qkv_proj.weight", rows, d.width)
        yield f"{here}self_attention/linear_0/weight", fused if d.rotated_factor == 1 else scaled(fused, _factors(d))
        out = take.take(f"{layer}self_attn.o_proj.weight", d.width, d.query_width)
        yield f"{here}self_attention/linear_1/weight", out
        both = take.take(f"{layer}mlp.gate_up_proj.weight", 2 * d.inner, d.width)
        yield f"{here}ffn/linear_0/weight", part(both, 0, d.inner)
        yield f"{here}ffn/linear_0_noact/weight", part(both, d.inner, 2 * d.inner)
        yield f"{here}ffn/linear_1/weight", take.take(f"{layer}mlp.down_proj.weight", d.width, d.inner)


def _factors(d: Decoder) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A factor for each row of queries, keys and values: that of the places that rotate, else one."""
    head = np.ones(d.head_dim, np.float32)
    head[: d.ropes[0].dimensions or d.head_dim] = d.rotated_factor
    return np.concatenate([np.tile(head, d.heads + d.kv_heads), np.ones(d.kv_width, np.float32)])


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
