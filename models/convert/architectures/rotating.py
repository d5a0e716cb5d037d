"""Encoders with rotated positions and a gate in each inner layer: Nomic's BERT, and GTE's "new" one.

In all other parts they are BERT: norms after each half of a layer, kinds of text, a norm after the embeddings. Files
name weights as their makers' own code does, or as transformers does; the page reads both.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.convert.architectures.bert import Encoder, EncoderPage, norm
from models.convert.architectures.page import Variable, Weights
from models.convert.contract import CannotConvert
from models.convert.rope import rope_of
from models.convert.stated import Stated
from models.convert.tensors.base import Joined, Tensor, Tensors, part

_ATTENTION, _INNER = "self_attn.", "mlp."
_QKV, _UP_GATE = f"{_ATTENTION}qkv_proj", f"{_INNER}up_gate_proj"
_SWIGLU = {"swiglu": "silu", "geglu": "gelu"}


@dataclass(frozen=True, slots=True)
class RotatingPage(EncoderPage):
    """A family of such encoders."""

    renamed: tuple[tuple[str, str], ...] = ()
    """Patterns in the makers' names, and transformers' names for them."""
    biased: frozenset[str] = frozenset()
    """The layers with a bias: ``attention``, ``down``."""
    wanted: Mapping[str, Any] = field(default_factory=dict)
    """The only accepted values of some keys, if a configuration has these keys."""

    def facts(self, config: Mapping[str, Any]) -> Encoder:
        """The facts of a repository's configuration. Raises `CannotConvert` as `EncoderPage.facts` does."""
        table = dict(config) | {name: config[own] for name, own in self.spelled.items() if own in config}
        table["hidden_act"] = _SWIGLU.get(str(table.get("hidden_act")), table.get("hidden_act"))
        stated = Stated(table, self.defaults)
        stated.require(**self.wanted)
        width, heads = stated.integer("hidden_size"), stated.integer("num_attention_heads")
        if width % heads or stated.integer("head_dim", width // heads) * heads != width:
            raise CannotConvert(f"config.json has {heads} heads for {width} numbers a token.")
        rope = rope_of(stated, width // heads)
        if rope.kind != "default":
            raise CannotConvert(f"Positions are scaled by {rope.kind!r}, which is not computed for this family.")
        positions = stated.integer("max_position_embeddings")
        return Encoder(
            layers=stated.layers(),
            width=width,
            inner=stated.integer("intermediate_size"),
            heads=heads,
            vocabulary=stated.integer("vocab_size"),
            positions=min(positions, stated.integer("max_trained_positions", positions)),
            epsilon=stated.number("layer_norm_eps"),
            activation=stated.activation("hidden_act"),
            types=stated.integer("type_vocab_size") if stated.get("type_vocab_size") else 0,
            rope_base=rope.base,
            gated=True,
        )

    def named(self, tensors: Tensors) -> Tensors:
        """The tensors by transformers' names, without the prefix of the body."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            plain = name.removeprefix(self.prefix)
            for pattern, other in self.renamed:
                plain = re.sub(pattern, other, plain)
            if plain in found:
                raise CannotConvert(f"The weights {plain} are there twice.")
            found[plain] = tensor
        return found

    def variables(self, encoder: Encoder, take: Weights) -> Iterator[Variable]:
        """The variables of CTranslate2's specification that are tensors, without ``encoder/``."""
        e = encoder
        yield "embeddings_0/weight", take.take("embeddings.word_embeddings.weight", e.vocabulary, e.width)
        if e.types:
            yield "embeddings_1/weight", take.take("embeddings.token_type_embeddings.weight", e.types, e.width)
        yield from norm(take, "embeddings.LayerNorm", "layernorm_embedding", e.width)
        for i in range(e.layers):
            layer, here = f"layers.{i}.", f"layer_{i}/"
            for end, columns in (("weight", (e.width,)), ("bias", ())):
                if end == "bias" and "attention" not in self.biased:
                    continue
                if take.has(f"{layer}{_QKV}.{end}"):
                    joined: Tensor = take.take(f"{layer}{_QKV}.{end}", 3 * e.width, *columns)
                else:
                    names = (f"{layer}{_ATTENTION}{name}_proj.{end}" for name in "qkv")
                    joined = Joined(tuple(take.take(name, e.width, *columns) for name in names))
                yield f"{here}self_attention/linear_0/{end}", joined
                out = take.take(f"{layer}{_ATTENTION}o_proj.{end}", e.width, *columns)
                yield f"{here}self_attention/linear_1/{end}", out
            yield from norm(take, f"{layer}post_attention_layernorm", f"{here}self_attention/layer_norm", e.width)
            if take.has(f"{layer}{_UP_GATE}.weight"):
                both = take.take(f"{layer}{_UP_GATE}.weight", 2 * e.inner, e.width)
                up, gate = part(both, 0, e.inner), part(both, e.inner, 2 * e.inner)
            else:
                up, gate = (take.take(f"{layer}mlp.{name}_proj.weight", e.inner, e.width) for name in ("up", "gate"))
            yield f"{here}ffn/linear_0/weight", gate
            yield f"{here}ffn/linear_0_noact/weight", up
            yield f"{here}ffn/linear_1/weight", take.take(f"{layer}mlp.down_proj.weight", e.width, e.inner)
            if "down" in self.biased:
                yield f"{here}ffn/linear_1/bias", take.take(f"{layer}mlp.down_proj.bias", e.width)
            yield from norm(take, f"{layer}post_mlp_layernorm", f"{here}ffn/layer_norm", e.width)


_DEFAULTS: Mapping[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
}
NOMIC = RotatingPage(
    "bert.",
    defaults={
        **_DEFAULTS,
        "vocab_size": 30528,
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "type_vocab_size": 2,
        "rope_theta": 1000.0,
    },
    spelled={
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
        "layer_norm_eps": "layer_norm_epsilon",
        "hidden_act": "activation_function",
        "rope_theta": "rotary_emb_base",
    },
    renamed=(
        (r"^encoder\.layers\.", "layers."),
        (r"^emb_ln\.", "embeddings.LayerNorm."),
        (r"\.attn\.out_proj\.", ".self_attn.o_proj."),
        (r"\.attn\.Wqkv\.", ".self_attn.qkv_proj."),
        (r"\.fc11\.", ".up_proj."),
        (r"\.fc12\.", ".gate_proj."),
        (r"\.fc2\.", ".down_proj."),
        (r"\.norm1\.", ".post_attention_layernorm."),
        (r"\.norm2\.", ".post_mlp_layernorm."),
    ),
    wanted={
        "prenorm": False,
        "use_rms_norm": False,
        "qkv_proj_bias": False,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "moe_every_n_layers": 0,
        "causal": False,
        "parallel_block": False,
    },
)
GTE = RotatingPage(
    "new.",
    defaults={
        **_DEFAULTS,
        "vocab_size": 250048,
        "hidden_act": "gelu",
        "max_position_embeddings": 8192,
        "type_vocab_size": 1,
        "rope_theta": 160000.0,
    },
    renamed=(
        (r"^encoder\.layer\.", "layers."),
        (r"\.attention\.(qkv_proj|o_proj)\.", r".self_attn.\1."),
        (r"\.attn_ln\.", ".post_attention_layernorm."),
        (r"\.mlp_ln\.", ".post_mlp_layernorm."),
    ),
    biased=frozenset({"attention", "down"}),
    wanted={"position_embedding_type": "rope", "layer_norm_type": "layer_norm", "logn_attention_scale": False},
)
