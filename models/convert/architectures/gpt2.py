"""GPT-2: learned positions, norms with an offset, transposed matrices."""

from collections.abc import Iterator, Mapping

from models.convert.architectures.page import Page, Variable, Weights, layer_norm
from models.convert.network import Decoder
from models.convert.stated import Stated
from models.convert.tensors.base import Transposed

_NORMS: Mapping[str, str] = {"self_attention/layer_norm": "ln_1", "ffn/layer_norm": "ln_2"}


def _facts(stated: Stated) -> Decoder:
    stated.require(scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False)
    width, heads = stated.integer("n_embd"), stated.integer("n_head")
    return Decoder(
        layers=stated.layers("n_layer"),
        width=width,
        inner=stated.integer("n_inner", 4 * width),
        heads=heads,
        kv_heads=heads,
        head_dim=max(1, width // heads),
        vocabulary=stated.integer("vocab_size"),
        context_tokens=stated.integer("n_positions"),
        epsilon=stated.number("layer_norm_epsilon"),
        activation=stated.activation("activation_function"),
        norm="layer",
        gated=False,
        tied=stated.flag("tie_word_embeddings"),
    )


def _weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    prefix = "transformer." if take.has("transformer.wte.weight") else ""
    table = take.take(f"{prefix}wte.weight", d.vocabulary, d.width)
    yield "embeddings/weight", table
    yield "position_encodings/encodings", take.take(f"{prefix}wpe.weight", d.context_tokens, d.width)
    yield from layer_norm(take, f"{prefix}ln_f", "layer_norm", d.width)
    own = take.has("lm_head.weight") or not d.tied
    yield "projection/weight", take.take("lm_head.weight", d.vocabulary, d.width) if own else table
    linears = {
        "self_attention/linear_0": ("attn.c_attn", d.width, 3 * d.width),
        "self_attention/linear_1": ("attn.c_proj", d.width, d.width),
        "ffn/linear_0": ("mlp.c_fc", d.width, d.inner),
        "ffn/linear_1": ("mlp.c_proj", d.inner, d.width),
    }
    for i in range(d.layers):
        layer, here = f"{prefix}h.{i}.", f"layer_{i}/"
        for target, name in _NORMS.items():
            yield from layer_norm(take, f"{layer}{name}", f"{here}{target}", d.width)
        for target, (name, inputs, outputs) in linears.items():
            yield f"{here}{target}/weight", Transposed(take.take(f"{layer}{name}.weight", inputs, outputs))
            yield f"{here}{target}/bias", take.take(f"{layer}{name}.bias", outputs)


GPT2 = Page(
    _facts,
    _weights,
    {
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    },
)
