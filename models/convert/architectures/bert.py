"""Pages of BERT and of encoders that differ from it in names and one fact, and the variables made from the pages."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.cards import Activation
from models.convert.architectures.page import Variable, Weights
from models.convert.contract import CannotConvert
from models.convert.model_bin import Scalar
from models.convert.network import ACTIVATIONS
from models.convert.stated import Stated
from models.convert.tensors.base import Joined, Tensor, Tensors, part

SPECIFICATION, REVISION = "TransformerEncoderSpec", 1
_ADD = 1


@dataclass(frozen=True, slots=True)
class Encoder:
    """All facts of an encoder except its weights."""

    layers: int
    width: int
    inner: int
    heads: int
    vocabulary: int
    positions: int
    epsilon: float
    activation: str
    types: int = 0
    """The number of kinds of text; 0: the family has none."""
    unused_positions: int = 0
    """The number of unused places at the beginning of the table of positions."""
    buckets: int = 0
    """The number of buckets for distances of two tokens, each with a bias; 0: none."""
    distance: int = 128
    """The distance in tokens from which all distances share one bucket."""
    rope_base: float | None = None
    """The base of rotated positions; None: positions are learned."""
    gated: bool = False

    @property
    def context_tokens(self) -> int:
        """The number of tokens with positions."""
        return self.positions - self.unused_positions

    @property
    def positions_as_types(self) -> bool:
        """True if positions become the second table of embeddings, because the model also has biases of distances.

        CTranslate2 ignores its table of positions if layers have such biases.
        """
        return self.buckets > 0


BERT_LAYER: Mapping[str, str] = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "self_attention/linear_1": "attention.output.dense",
    "self_attention/layer_norm": "attention.output.LayerNorm",
    "ffn/linear_0": "intermediate.dense",
    "ffn/linear_1": "output.dense",
    "ffn/layer_norm": "output.LayerNorm",
}
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
HEADS_OF_OTHERS = (
    "cls.", "lm_head.", "pooler.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "qa_outputs.",
    "generator_predictions.", "generator_lm_head.", "discriminator_predictions.",
)  # fmt: skip
"""Prefixes of the names of weights after the body that serve other tasks."""


@dataclass(frozen=True, slots=True)
class EncoderPage:
    """A family of encoders."""

    prefix: str
    """The prefix of the body's names in a model with a head."""
    head: tuple[str, str] = ("classifier.dense", "classifier.out_proj")
    """The layers of a classifier's head."""
    activation: Activation = "tanh"
    """The activation after the first of these layers."""
    layer: str = "encoder.layer."
    names: Mapping[str, str] = field(default_factory=lambda: BERT_LAYER)
    """Maps CTranslate2's names of a layer's parts to the family's."""
    defaults: Mapping[str, Any] = field(default_factory=lambda: _DEFAULTS)
    spelled: Mapping[str, str] = field(default_factory=dict)
    """Maps BERT's configuration keys to the family's."""
    from_padding: bool = False
    """True if positions count from the padding's id, so that the first places of the table are unused."""
    typed: bool = True
    """True if the family has a table of kinds of text."""
    biases: str | None = None
    """The table of biases of distances."""

    def facts(self, config: Mapping[str, Any]) -> Encoder:
        """The facts of a repository's configuration.

        Raises:
            CannotConvert: no engine here computes this configuration.
        """
        table = dict(config) | {name: config[own] for name, own in self.spelled.items() if own in config}
        stated = Stated(table, self.defaults)
        stated.require(position_embedding_type="absolute", is_decoder=False, add_cross_attention=False)
        width, heads = stated.integer("hidden_size"), stated.integer("num_attention_heads")
        if width % heads:
            raise CannotConvert(f"config.json has {heads} heads for {width} numbers a token.")
        if stated.integer("embedding_size", width) != width:
            raise CannotConvert(
                f"Its embeddings have {stated.get('embedding_size')} numbers and its layers {width}: CTranslate2's "
                "encoder has no place for the matrix between them. The family's larger models have none."
            )
        padding = stated.get("pad_token_id")
        unused = padding + 1 if self.from_padding and isinstance(padding, int) else 0
        encoder = Encoder(
            layers=stated.layers(),
            width=width,
            inner=stated.integer("intermediate_size"),
            heads=heads,
            vocabulary=stated.integer("vocab_size"),
            positions=stated.integer("max_position_embeddings"),
            epsilon=stated.number("layer_norm_eps"),
            activation=stated.activation("hidden_act"),
            types=stated.integer("type_vocab_size") if self.typed else 0,
            unused_positions=unused,
            buckets=stated.integer("relative_attention_num_buckets") if self.biases else 0,
        )
        if not 0 <= unused < encoder.positions:
            raise CannotConvert(f"config.json: pad_token_id is {padding}, and there are {encoder.positions} positions.")
        return encoder

    def named(self, tensors: Tensors) -> Tensors:
        """The tensors by their names in a body without a head; norms by their newer names.

        Raises:
            CannotConvert: two tensors get one name.
        """
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            plain = _OLD_NORM.sub(lambda match: _NEW[match[1]], name.removeprefix(self.prefix))
            if plain in found:
                raise CannotConvert(f"The weights {plain} are there twice.")
            found[plain] = tensor
        return found

    def variables(self, encoder: Encoder, take: Weights) -> Iterator[Variable]:
        """The variables of CTranslate2's specification that are tensors, without ``encoder/``."""
        e = encoder
        yield "embeddings_0/weight", take.take("embeddings.word_embeddings.weight", e.vocabulary, e.width)
        table = take.take("embeddings.position_embeddings.weight", e.positions, e.width)
        used = part(table, e.unused_positions, e.positions) if e.unused_positions else table
        yield "embeddings_1/weight" if e.positions_as_types else "position_encodings/encodings", used
        if e.types:
            yield "embeddings_1/weight", take.take("embeddings.token_type_embeddings.weight", e.types, e.width)
        yield from norm(take, "embeddings.LayerNorm", "layernorm_embedding", e.width)
        biases = take.take(self.biases, e.buckets, e.heads) if self.biases else None
        sizes = {"ffn/linear_0": (e.inner, e.width), "ffn/linear_1": (e.width, e.inner)}
        for i in range(e.layers):
            layer, here = f"{self.layer}{i}.", f"layer_{i}/"
            parts = [f"{layer}{self.names[name]}" for name in ("query", "key", "value")]
            for end, shape in (("weight", (e.width, e.width)), ("bias", (e.width,))):
                joined = Joined(tuple(take.take(f"{name}.{end}", *shape) for name in parts))
                yield f"{here}self_attention/linear_0/{end}", joined
            for target in ("self_attention/linear_1", "ffn/linear_0", "ffn/linear_1"):
                rows, columns = sizes.get(target, (e.width, e.width))
                yield f"{here}{target}/weight", take.take(f"{layer}{self.names[target]}.weight", rows, columns)
                yield f"{here}{target}/bias", take.take(f"{layer}{self.names[target]}.bias", rows)
            for target in ("self_attention/layer_norm", "ffn/layer_norm"):
                yield from norm(take, f"{layer}{self.names[target]}", f"{here}{target}", e.width)
            if biases is not None:
                yield f"{here}self_attention/relative_attention_bias", biases


_OLD_NORM = re.compile(r"(?<=LayerNorm\.)(gamma|beta)$")
_NEW = {"gamma": "weight", "beta": "bias"}


def norm(take: Weights, name: str, target: str, size: int) -> Iterator[Variable]:
    """A norm with an offset."""
    yield f"{target}/gamma", take.take(f"{name}.weight", size)
    yield f"{target}/beta", take.take(f"{name}.bias", size)


def scalars(encoder: Encoder) -> dict[str, Scalar]:
    """The encoder's scalars as variables of CTranslate2's specification."""
    found: dict[str, Scalar] = {
        "activation": np.int8(ACTIVATIONS[encoder.activation]),
        "embeddings_merge": np.int8(_ADD),
        "multi_query_attention": np.int8(0),
        "num_heads": np.int16(encoder.heads),
        "pre_norm": np.int8(0),
        "scale_embeddings": np.int8(0),
    }
    for i in range(encoder.layers):
        here = f"layer_{i}/self_attention/"
        if encoder.buckets:
            found[f"{here}relative_attention_max_distance"] = np.int32(encoder.distance)
        if encoder.rope_base is not None:
            found |= {
                f"{here}rotary_dim": np.int32(0),
                f"{here}rotary_interleave": np.int8(0),
                f"{here}rotary_base": np.float32(encoder.rope_base),
            }
    return {f"encoder/{name}": value for name, value in found.items()}


_DISTIL: Mapping[str, str] = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "self_attention/linear_1": "attention.out_lin",
    "self_attention/layer_norm": "sa_layer_norm",
    "ffn/linear_0": "ffn.lin1",
    "ffn/linear_1": "ffn.lin2",
    "ffn/layer_norm": "output_layer_norm",
}
_MPNET: Mapping[str, str] = {
    **BERT_LAYER,
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "self_attention/linear_1": "attention.attn.o",
    "self_attention/layer_norm": "attention.LayerNorm",
}
_ROBERTA = EncoderPage("roberta.", from_padding=True, defaults={**_DEFAULTS, "vocab_size": 50265, "pad_token_id": 1})
ENCODERS: Mapping[str, EncoderPage] = {
    "bert": EncoderPage("bert.", ("pooler.dense", "classifier")),
    "camembert": _ROBERTA,
    "distilbert": EncoderPage(
        "distilbert.",
        ("pre_classifier", "classifier"),
        "relu",
        "transformer.layer.",
        _DISTIL,
        {**_DEFAULTS, "num_hidden_layers": 6},
        spelled={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
        },
        typed=False,
    ),
    "electra": EncoderPage(
        "electra.",
        activation="gelu",
        defaults={
            **_DEFAULTS,
            "hidden_size": 256,
            "num_attention_heads": 4,
            "intermediate_size": 1024,
            "embedding_size": 128,
        },
    ),
    "mpnet": EncoderPage(
        "mpnet.",
        names=_MPNET,
        defaults={**_DEFAULTS, "vocab_size": 30527, "pad_token_id": 1, "relative_attention_num_buckets": 32},
        from_padding=True,
        typed=False,
        biases="encoder.relative_attention_bias.weight",
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": EncoderPage(
        "roberta.", from_padding=True, defaults={**_DEFAULTS, "vocab_size": 30522, "pad_token_id": 1}
    ),
}
"""By ``model_type``."""
