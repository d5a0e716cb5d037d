"""OPT: learned positions, whose first two rows are unused; norms and matrices with offsets."""

from collections.abc import Iterator

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights, layer_norm, linear
from models.convert.network import Decoder
from models.convert.stated import Stated
from models.convert.tensors.base import Joined, part

_OFFSET = 2


def _facts(stated: Stated) -> Decoder:
    width, heads = stated.integer("hidden_size"), stated.integer("num_attention_heads")
    stated.require(do_layer_norm_before=True, _remove_final_layer_norm=False, word_embed_proj_dim=width)
    stated.require(enable_bias=True, layer_norm_elementwise_affine=True)
    return Decoder(
        layers=stated.layers(),
        width=width,
        inner=stated.integer("ffn_dim"),
        heads=heads,
        kv_heads=heads,
        head_dim=max(1, width // heads),
        vocabulary=stated.integer("vocab_size"),
        context_tokens=stated.integer("max_position_embeddings"),
        epsilon=1e-5,
        activation=stated.activation("activation_function"),
        norm="layer",
        gated=False,
        tied=stated.flag("tie_word_embeddings"),
        biased=frozenset({"qkv", "out", "mlp"}),
    )


def _weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    prefix = "model.decoder." if take.has("model.decoder.embed_tokens.weight") else "decoder."
    table = take.take(f"{prefix}embed_tokens.weight", d.vocabulary, d.width)
    yield "embeddings/weight", table
    rows = d.context_tokens + _OFFSET
    positions = take.take(f"{prefix}embed_positions.weight", rows, d.width)
    yield "position_encodings/encodings", part(positions, _OFFSET, rows)
    yield from layer_norm(take, f"{prefix}final_layer_norm", "layer_norm", d.width)
    own = take.has("lm_head.weight") or not d.tied
    yield "projection/weight", take.take("lm_head.weight", d.vocabulary, d.width) if own else table
    for i in range(d.layers):
        layer, here = f"{prefix}layers.{i}.", f"layer_{i}/"
        for target, name in zip(llama.NORMS, ("self_attn_layer_norm", "final_layer_norm"), strict=True):
            yield from layer_norm(take, f"{layer}{name}", f"{here}{target}", d.width)
        for kind, shape in (("weight", (d.width, d.width)), ("bias", (d.width,))):
            heads = (take.take(f"{layer}self_attn.{name}_proj.{kind}", *shape) for name in "qkv")
            yield f"{here}self_attention/linear_0/{kind}", Joined(tuple(heads))
        yield from linear(take, f"{layer}self_attn.out_proj", f"{here}self_attention/linear_1", d.width, d.width)
        yield from linear(take, f"{layer}fc1", f"{here}ffn/linear_0", d.inner, d.width)
        yield from linear(take, f"{layer}fc2", f"{here}ffn/linear_1", d.width, d.inner)


OPT = Page(
    _facts,
    _weights,
    {
        "vocab_size": 50272,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "ffn_dim": 3072,
        "num_attention_heads": 12,
        "activation_function": "relu",
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    },
)
