"""Hunyuan without experts, and HY-MT: Llama with norms of queries and keys after the rotation."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from models.convert.architectures import llama
from models.convert.architectures.page import Page
from models.convert.contract import CannotConvert
from models.convert.network import Decoder
from models.convert.stated import Stated

_NORMS: llama.Names = {
    **llama.NORMS,
    "self_attention/q_norm": "self_attn.query_layernorm",
    "self_attention/k_norm": "self_attn.key_layernorm",
}


def _facts(stated: Stated) -> Decoder:
    return replace(llama.LLAMA.facts(_with_base(stated)), qk_norm="each rotated")


def _with_base(stated: Stated) -> Stated:
    """Positions of the kind ``dynamic`` with an ``alpha`` are plain positions with another base, for every length."""
    written = stated.get("rope_parameters") or stated.get("rope_scaling") or {}
    if not isinstance(written, Mapping) or not written.get("alpha"):
        return stated
    if (written.get("rope_type") or written.get("type")) != "dynamic":
        raise CannotConvert("config.json: the positions have an alpha, and are not of the kind 'dynamic'.")
    table = Stated({"rope_theta": stated.get("rope_theta"), **written}, {})
    heads = stated.integer("num_attention_heads")
    size = stated.integer("head_dim", max(1, stated.integer("hidden_size") // heads))
    if size <= 2:
        raise CannotConvert(f"config.json: head_dim is {size}, too small for positions with an alpha.")
    base = table.number("rope_theta") * table.number("alpha") ** (size / (size - 2))
    return Stated({**stated.table, "rope_parameters": None, "rope_scaling": None, "rope_theta": base}, {})


HUNYUAN = Page(
    _facts,
    partial(llama.weights, norms=_NORMS),
    {**llama.DEFAULTS, "vocab_size": 290943, "rms_norm_eps": 1e-5},
)
