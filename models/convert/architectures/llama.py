"""Llama's page, on which the pages of many families build: Mistral, Qwen, Granite ..."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.convert.architectures.page import Page, Variable, Weights
from models.convert.network import Decoder, norm_names
from models.convert.rope import rope_of
from models.convert.stated import Stated
from models.convert.tensors.base import Joined, scaled

Names = Mapping[str, str]

NORMS: Names = {"self_attention/layer_norm": "input_layernorm", "ffn/layer_norm": "post_attention_layernorm"}
HEAD_NORMS: Names = {"self_attention/q_norm": "self_attn.q_norm", "self_attention/k_norm": "self_attn.k_norm"}
FEED_FORWARD: Names = {"linear_0": "mlp.gate_proj", "linear_0_noact": "mlp.up_proj", "linear_1": "mlp.down_proj"}
EMBEDDINGS, FINAL_NORM, PROJECTION = "embed_tokens.weight", "norm.weight", "lm_head.weight"

DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
}


def common(
    stated: Stated, activation: str = "hidden_act", epsilon: str = "rms_norm_eps", *, partly: bool = False
) -> dict[str, Any]:
    """The facts that all families of this kind state under the same names.

    Args:
        stated: the configuration.
        activation, epsilon: the configuration's names of two facts.
        partly: true if the family can rotate a part of each head.
    """
    heads, width, layers = stated.integer("num_attention_heads"), stated.integer("hidden_size"), stated.layers()
    head_dim = stated.integer("head_dim", max(1, width // heads))
    rope = rope_of(stated, head_dim, partly=partly)
    return {
        "layers": layers,
        "width": width,
        "inner": stated.integer("intermediate_size"),
        "heads": heads,
        "kv_heads": stated.integer("num_key_value_heads", heads),
        "head_dim": head_dim,
        "vocabulary": stated.integer("vocab_size"),
        "context_tokens": max(stated.integer("max_position_embeddings"), rope.stretched_tokens),
        "epsilon": stated.number(epsilon),
        "activation": stated.activation(activation),
        "ropes": (rope,) * layers,
        "tied": stated.flag("tie_word_embeddings"),
    }


def _llama(stated: Stated) -> Decoder:
    attention, inner = stated.flag("attention_bias"), stated.flag("mlp_bias")
    biased = {"qkv": attention, "out": attention, "mlp": inner}
    return Decoder(**common(stated), biased=frozenset(name for name, wanted in biased.items() if wanted))


def _mistral(stated: Stated) -> Decoder:
    facts = common(stated)
    window = stated.window()
    return Decoder(**facts, windows=(window,) * facts["layers"])


def weights(decoder: Decoder, take: Weights, prefix: str = "model.", norms: Names = NORMS) -> Iterator[Variable]:
    """The variables of a decoder with Llama's names."""
    d = decoder
    yield from ends(d, take, f"{prefix}{EMBEDDINGS}", f"{prefix}{FINAL_NORM}")
    names = {**HEAD_NORMS, **norms}
    for i in range(d.layers):
        layer, here = f"{prefix}layers.{i}.", f"layer_{i}/"
        for norm, size in norm_names(d).items():
            yield f"{here}{norm}/gamma", take.take(f"{layer}{names[norm]}.weight", size)
        yield from attention(d, take, f"{layer}self_attn.", f"{here}self_attention/")
        for target, name in FEED_FORWARD.items():
            shape = (d.width, d.inner) if target == "linear_1" else (d.inner, d.width)
            yield f"{here}ffn/{target}/weight", take.take(f"{layer}{name}.weight", *shape)
            if "mlp" in d.biased:
                yield f"{here}ffn/{target}/bias", take.take(f"{layer}{name}.bias", shape[0])


def ends(d: Decoder, take: Weights, embeddings: str, norm: str) -> Iterator[Variable]:
    """The weights before the first layer and after the last."""
    table = take.take(embeddings, d.vocabulary, d.width)
    yield "embeddings/weight", table
    yield "layer_norm/gamma", take.take(norm, d.width)
    # A file may hold both although its configuration ties them; the file's weights were trained.
    last = table if d.tied and not take.has(PROJECTION) else take.take(PROJECTION, d.vocabulary, d.width)
    yield "projection/weight", scaled(last, d.logits_factor)


def attention(d: Decoder, take: Weights, layer: str, here: str) -> Iterator[Variable]:
    """Queries, keys and values stacked by rows, and the output projection."""
    heads = (("q_proj", d.query_width), ("k_proj", d.kv_width), ("v_proj", d.kv_width))
    yield f"{here}linear_0/weight", Joined(tuple(take.take(f"{layer}{n}.weight", size, d.width) for n, size in heads))
    if "qkv" in d.biased:
        yield f"{here}linear_0/bias", Joined(tuple(take.take(f"{layer}{n}.bias", size) for n, size in heads))
    yield f"{here}linear_1/weight", take.take(f"{layer}o_proj.weight", d.width, d.query_width)
    if "out" in d.biased:
        yield f"{here}linear_1/bias", take.take(f"{layer}o_proj.bias", d.width)


LLAMA = Page(_llama, weights, DEFAULTS)
MISTRAL = Page(
    _mistral,
    weights,
    {
        **DEFAULTS,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
)
