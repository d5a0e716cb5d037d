"""StarCoder 2: norms with an offset, biases everywhere, an inner layer without a gate."""

from collections.abc import Iterator

from models.convert.architectures import llama
from models.convert.architectures.page import Page, Variable, Weights
from models.convert.network import Decoder
from models.convert.stated import Stated


def _facts(stated: Stated) -> Decoder:
    facts = llama.common(stated, epsilon="norm_epsilon")
    window = stated.window()
    biased = frozenset({"qkv", "out", "mlp"}) if stated.flag("use_bias") else frozenset[str]()
    return Decoder(**facts, norm="layer", gated=False, windows=(window,) * facts["layers"], biased=biased)


def _weights(d: Decoder, take: Weights) -> Iterator[Variable]:
    yield from llama.ends(d, take, f"model.{llama.EMBEDDINGS}", f"model.{llama.FINAL_NORM}")
    yield "layer_norm/beta", take.take("model.norm.bias", d.width)
    for i in range(d.layers):
        layer, here = f"model.layers.{i}.", f"layer_{i}/"
        for target, name in llama.NORMS.items():
            yield f"{here}{target}/gamma", take.take(f"{layer}{name}.weight", d.width)
            yield f"{here}{target}/beta", take.take(f"{layer}{name}.bias", d.width)
        yield from llama.attention(d, take, f"{layer}self_attn.", f"{here}self_attention/")
        for target, name, outputs, inputs in (
            ("linear_0", "mlp.c_fc", d.inner, d.width),
            ("linear_1", "mlp.c_proj", d.width, d.inner),
        ):
            yield f"{here}ffn/{target}/weight", take.take(f"{layer}{name}.weight", outputs, inputs)
            if "mlp" in d.biased:
                yield f"{here}ffn/{target}/bias", take.take(f"{layer}{name}.bias", outputs)


STARCODER2 = Page(
    _facts,
    _weights,
    {
        "vocab_size": 49152,
        "hidden_size": 3072,
        "intermediate_size": 12288,
        "num_hidden_layers": 30,
        "num_attention_heads": 24,
        "num_key_value_heads": 2,
        "hidden_act": "gelu_pytorch_tanh",
        "max_position_embeddings": 4096,
        "norm_epsilon": 1e-5,
        "rope_theta": 10000.0,
        "use_bias": True,
        "tie_word_embeddings": True,
    },
)
