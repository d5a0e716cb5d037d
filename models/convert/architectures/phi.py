"""Phi 1, 1.5 and 2, and GPT-J: attention and the inner layer read the same input through one norm."""

from collections.abc import Iterator

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights, layer_norm, linear
from models.convert.network import Decoder, Rope
from models.convert.stated import Stated
from models.convert.tensors.base import Joined

_PROJECTION, _NORM = "projection", "shared_layer_norm"


def _phi(stated: Stated) -> Decoder:
    stated.require(qk_layernorm=False)
    facts = llama.common(stated, epsilon="layer_norm_eps", partly=True)
    biased = frozenset({"qkv", "out", "mlp", _PROJECTION})
    return Decoder(**facts, norm="layer", norms="shared", gated=False, biased=biased)


def _phi_weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    yield from _ends(d, take, "model.embed_tokens", "model.final_layernorm")
    for i in range(d.layers):
        layer, here = f"model.layers.{i}.", f"layer_{i}/"
        yield from layer_norm(take, f"{layer}input_layernorm", f"{here}{_NORM}", d.width)
        names = {"attention": f"{layer}self_attn.", "out": "dense", "up": f"{layer}mlp.fc1", "down": f"{layer}mlp.fc2"}
        yield from _halves(d, take, here, names)


def _gptj(stated: Stated) -> Decoder:
    width, heads, layers = stated.integer("n_embd"), stated.integer("n_head"), stated.layers("n_layer")
    return Decoder(
        layers=layers,
        width=width,
        inner=stated.integer("n_inner", 4 * width),
        heads=heads,
        kv_heads=heads,
        head_dim=max(1, width // heads),
        vocabulary=stated.integer("vocab_size"),
        context_tokens=stated.integer("n_positions"),
        epsilon=stated.number("layer_norm_epsilon"),
        activation=stated.activation("activation_function"),
        ropes=(Rope(10000.0, dimensions=stated.integer("rotary_dim"), interleaved=True),) * layers,
        norm="layer",
        norms="shared",
        gated=False,
        tied=stated.flag("tie_word_embeddings"),
        biased=frozenset({"mlp", _PROJECTION}),
    )


def _gptj_weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    yield from _ends(d, take, "transformer.wte", "transformer.ln_f")
    for i in range(d.layers):
        layer, here = f"transformer.h.{i}.", f"layer_{i}/"
        yield from layer_norm(take, f"{layer}ln_1", f"{here}{_NORM}", d.width)
        names = {
            "attention": f"{layer}attn.",
            "out": "out_proj",
            "up": f"{layer}mlp.fc_in",
            "down": f"{layer}mlp.fc_out",
        }
        yield from _halves(d, take, here, names)


def _ends(d: Decoder, take: Weights, embeddings: str, norm: str) -> Iterator[Variable]:
    table = take.take(f"{embeddings}.weight", d.vocabulary, d.width)
    yield "embeddings/weight", table
    yield from layer_norm(take, norm, "layer_norm", d.width)
    own = take.has("lm_head.weight") or not d.tied
    yield "projection/weight", take.take("lm_head.weight", d.vocabulary, d.width) if own else table
    yield "projection/bias", take.take("lm_head.bias", d.vocabulary)


def _halves(d: Decoder, take: Weights, here: str, names: dict[str, str]) -> Iterator[Variable]:
    attention = names["attention"]
    heads = (("q_proj", d.query_width), ("k_proj", d.kv_width), ("v_proj", d.kv_width))
    parts = [list(linear(take, f"{attention}{n}", n, size, d.width, biased="qkv" in d.biased)) for n, size in heads]
    for kind, same in zip(("weight", "bias"), zip(*parts, strict=True), strict=False):
        yield f"{here}self_attention/linear_0/{kind}", Joined(tuple(tensor for _, tensor in same))
    out = f"{here}self_attention/linear_1"
    yield from linear(take, f"{attention}{names['out']}", out, d.width, d.query_width, biased="out" in d.biased)
    yield from linear(take, names["up"], f"{here}ffn/linear_0", d.inner, d.width)
    yield from linear(take, names["down"], f"{here}ffn/linear_1", d.width, d.inner)


PHI = Page(
    _phi,
    _phi_weights,
    {
        "vocab_size": 51200,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 32,
        "hidden_act": "gelu_new",
        "max_position_embeddings": 2048,
        "layer_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
    },
)
GPTJ = Page(
    _gptj,
    _gptj_weights,
    {
        "vocab_size": 50400,
        "n_positions": 2048,
        "n_embd": 4096,
        "n_layer": 28,
        "n_head": 16,
        "rotary_dim": 64,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
    },
)
