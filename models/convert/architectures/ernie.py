"""ERNIE 4.5 without experts: Llama with neighbours that rotate together."""

from dataclasses import replace

from models.convert.architectures import llama
from models.convert.architectures.page import Page
from models.convert.network import Decoder
from models.convert.stated import Stated


def _facts(stated: Stated) -> Decoder:
    facts = llama.common(stated)
    facts["ropes"] = tuple(replace(rope, interleaved=True) for rope in facts["ropes"])
    biased = frozenset({"qkv", "out", "mlp"}) if stated.flag("use_bias") else frozenset[str]()
    return Decoder(**facts, biased=biased)


ERNIE = Page(
    _facts,
    llama.weights,
    {
        "vocab_size": 103424,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 18,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "hidden_act": "silu",
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
    },
)
