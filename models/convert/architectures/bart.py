"""Encoder-decoders of BART's kind: Marian (OPUS-MT), M2M100 and NLLB; and the parts that T5 shares with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.convert.architectures.bert import norm
from models.convert.architectures.page import Variable, Weights
from models.convert.contract import CannotConvert
from models.convert.model_bin import Scalar
from models.convert.network import ACTIVATIONS
from models.convert.stated import Stated
from models.convert.tensors.base import Computed, Joined, Tensor, part, whole

SPECIFICATION, REVISION = "TransformerSpec", 7
TABLES = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")


@dataclass(frozen=True, slots=True)
class Seq2Seq:
    """All facts of an encoder-decoder except its weights."""

    encoder_layers: int
    decoder_layers: int
    encoder_inner: int
    decoder_inner: int
    encoder_heads: int
    decoder_heads: int
    width: int
    heads_width: int
    """The width of all heads together."""
    rows: int
    """The number of embeddings in the file."""
    vocabulary: int
    """The number of embeddings that are tokens."""
    activation: str
    pre_norm: bool
    scale: float = 1.0
    """The factor of the embeddings."""
    positions: int = 0
    """The number of positions; 0: the model sorts distances into buckets instead."""
    buckets: int = 0
    distance: int = 0
    """The distance in tokens from which all distances share one bucket."""
    gated: bool = False
    starts_from_zero: bool = False
    """True if decoding starts from an embedding of zeros, not from a token."""
    output_scale: float | None = None
    epsilon: float = 1e-5


@dataclass(frozen=True, slots=True)
class Seq2SeqPage:
    """A family of encoder-decoders."""

    facts: Callable[[Stated], Seq2Seq]
    weights: Callable[[Seq2Seq, Weights], Iterator[Variable]]
    """The variables of CTranslate2's specification that are tensors."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    """Prefixes of the names of unused weights."""

    def network(self, config: Mapping[str, Any]) -> Seq2Seq:
        """The facts of a repository's configuration.

        Raises:
            CannotConvert: no engine here computes this configuration.
        """
        return self.facts(Stated(config, self.defaults))


def scalars(n: Seq2Seq) -> dict[str, Scalar]:
    """The scalars as variables of CTranslate2's specification."""
    scale = np.int8(0) if n.buckets else np.float32(n.scale)
    both: dict[str, Scalar] = {
        "activation": np.int8(ACTIVATIONS[n.activation]),
        "pre_norm": np.int8(n.pre_norm),
        "scale_embeddings": scale,
    }
    encoder = both | {
        "embeddings_merge": np.int8(0),
        "multi_query_attention": np.int8(0),
        "num_heads": np.int16(n.encoder_heads),
    }
    decoder = both | {
        "alibi": np.int8(0),
        "alibi_use_positive_positions": np.int8(0),
        "alignment_heads": np.int16(1),
        "alignment_layer": np.int16(-1),
        "num_heads": np.int16(n.decoder_heads),
        "scale_alibi": np.int8(0),
        "start_from_zero_embedding": np.int8(n.starts_from_zero),
    }
    if n.output_scale is not None:
        decoder["scale_outputs"] = np.float32(n.output_scale)
    found = {f"encoder/{name}": value for name, value in encoder.items()}
    found |= {f"decoder/{name}": value for name, value in decoder.items()}
    if n.buckets:
        for side, layers, kinds in (
            ("encoder", n.encoder_layers, ("self_attention",)),
            ("decoder", n.decoder_layers, ("self_attention", "attention")),
        ):
            for here in (f"{side}/layer_{i}" for i in range(layers)):
                found |= {f"{here}/{kind}/queries_scale": np.float32(1) for kind in kinds}
                found[f"{here}/self_attention/relative_attention_max_distance"] = np.int32(n.distance)
    return found


def tables(n: Seq2Seq, take: Weights, prefix: str, last: str) -> tuple[Tensor, Tensor, Tensor]:
    """The embeddings of both sides and the last layer: most files have one table, under any of four names; some
    several.
    """
    names = {name: f"{prefix}{name}" for name in TABLES} | {last: last}
    there = {
        name: take.take(full, n.rows, n.width, again=i > 0)
        for i, (name, full) in enumerate((name, full) for name, full in names.items() if take.has(full))
    }
    if not there:
        raise CannotConvert(f"The repository lacks weights: {prefix}{TABLES[0]}.")
    shared = there.get(TABLES[0]) or next(iter(there.values()))
    found = [there.get(name, shared) for name in (TABLES[1], TABLES[2], last)]
    kept = [each if n.vocabulary == n.rows else part(each, 0, n.vocabulary) for each in found]
    return kept[0], kept[1], kept[2]


def attention(
    take: Weights, layer: str, here: str, names: Sequence[str], shape: tuple[int, int], *, cross: bool, biased: bool
) -> Iterator[Variable]:
    """Queries, keys, values and the output projection, joined as in CTranslate2.

    Args:
        take: the weights.
        layer, here: the attention's names in the file and in the specification.
        names: the names of the four matrices.
        shape: the width of all heads together, and the model's width.
        cross: true if the keys are the encoder's.
        biased: true if the matrices have biases.
    """
    heads, width = shape
    joined = ((0,), (1, 2), (3,)) if cross else ((0, 1, 2), (3,))
    for i, places in enumerate(joined):
        rows, columns = (width, heads) if places == (3,) else (heads, width)
        weights = tuple(take.take(f"{layer}{names[at]}.weight", rows, columns) for at in places)
        yield f"{here}linear_{i}/weight", weights[0] if len(weights) == 1 else Joined(weights)
        if biased:
            biases = tuple(take.take(f"{layer}{names[at]}.bias", rows) for at in places)
            yield f"{here}linear_{i}/bias", biases[0] if len(biases) == 1 else Joined(biases)


def _common(stated: Stated, *, pre_norm: bool) -> dict[str, Any]:
    stated.require(
        normalize_before=pre_norm,
        normalize_embedding=False,
        add_final_layer_norm=pre_norm,
        static_position_embeddings=True,
    )
    width, rows = stated.integer("d_model"), stated.integer("vocab_size")
    heads = {side: stated.integer(f"{side}_attention_heads") for side in ("encoder", "decoder")}
    if any(width % each for each in heads.values()):
        raise CannotConvert(f"config.json has {heads['encoder']} heads for {width} numbers a token.")
    return {
        "encoder_layers": stated.layers("encoder_layers"),
        "decoder_layers": stated.layers("decoder_layers"),
        "encoder_inner": stated.integer("encoder_ffn_dim"),
        "decoder_inner": stated.integer("decoder_ffn_dim"),
        "encoder_heads": heads["encoder"],
        "decoder_heads": heads["decoder"],
        "width": width,
        "heads_width": width,
        "rows": rows,
        "vocabulary": rows,
        "activation": stated.activation("activation_function"),
        "pre_norm": pre_norm,
        "scale": width**0.5 if stated.flag("scale_embedding") else 1.0,
        "positions": stated.integer("max_position_embeddings", most=1 << 20),
    }


def _marian(stated: Stated) -> Seq2Seq:
    stated.require(share_encoder_decoder_embeddings=True)
    facts = _common(stated, pre_norm=False)
    padding = stated.get("pad_token_id")
    if padding != facts["rows"] - 1:
        raise CannotConvert(f"config.json: pad_token_id is {padding!r}, and is the last of the vocabulary in Marian.")
    # transformers adds a start token with an embedding of zeros; CTranslate2 starts from zeros without a token.
    return Seq2Seq(**facts | {"vocabulary": facts["rows"] - 1}, starts_from_zero=True)


def _m2m100(stated: Stated) -> Seq2Seq:
    return Seq2Seq(**_common(stated, pre_norm=True))


_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


def _weights(n: Seq2Seq, take: Weights, first_position: int, turns: Callable[[int], np.ndarray]) -> Iterator[Variable]:
    source, target, last = tables(n, take, "model.", "lm_head.weight")
    yield "encoder/embeddings_0/weight", source
    yield "decoder/embeddings/weight", target
    yield "decoder/projection/weight", last
    if take.has("final_logits_bias"):
        bias = whole(take.take("final_logits_bias", 1, n.rows))[0]
        if bias.any():
            yield "decoder/projection/bias", Computed((n.vocabulary,), lambda begin, end: bias[begin:end])
    computed = Computed((n.positions, n.width), lambda begin, end: _sines(turns(n.width), begin, end, first_position))
    for side, layers, inner in (
        ("encoder", n.encoder_layers, n.encoder_inner),
        ("decoder", n.decoder_layers, n.decoder_inner),
    ):
        stored = f"model.{side}.embed_positions.weight"
        yield (
            f"{side}/position_encodings/encodings",
            take.take(stored, n.positions, n.width) if take.has(stored) else computed,
        )
        if n.pre_norm:
            yield from norm(take, f"model.{side}.layer_norm", f"{side}/layer_norm", n.width)
        for i in range(layers):
            layer, here = f"model.{side}.layers.{i}.", f"{side}/layer_{i}/"
            kinds = {"self_attn": "self_attention", **({"encoder_attn": "attention"} if side == "decoder" else {})}
            for name, kind in kinds.items():
                cross = kind == "attention"
                yield from attention(
                    take, f"{layer}{name}.", f"{here}{kind}/", _ATTENTION, (n.width, n.width), cross=cross, biased=True
                )
                yield from norm(take, f"{layer}{name}_layer_norm", f"{here}{kind}/layer_norm", n.width)
            for name, target_name, rows, columns in (
                ("fc1", "linear_0", inner, n.width),
                ("fc2", "linear_1", n.width, inner),
            ):
                yield f"{here}ffn/{target_name}/weight", take.take(f"{layer}{name}.weight", rows, columns)
                yield f"{here}ffn/{target_name}/bias", take.take(f"{layer}{name}.bias", rows)
            yield from norm(take, f"{layer}final_layer_norm", f"{here}ffn/layer_norm", n.width)


def _sines(turns: np.ndarray, begin: int, end: int, first: int) -> Any:
    """Sines in the first half of a row, cosines in the second."""
    angles = np.arange(begin + first, end + first, dtype=np.float32)[:, None] * turns
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


def _marian_turns(width: int) -> Any:
    return np.float32(10000) ** (-2 * np.arange(width // 2) / width)


def _m2m100_turns(width: int) -> Any:
    half = width // 2
    return np.exp(np.arange(half, dtype=np.float32) * -np.float32(np.log(10000) / max(1, half - 1)))


def _marian_weights(n: Seq2Seq, take: Weights) -> Iterator[Variable]:
    return _weights(n, take, 0, _marian_turns)


def _m2m100_weights(n: Seq2Seq, take: Weights) -> Iterator[Variable]:
    return _weights(n, take, 2, _m2m100_turns)  # the first two belong to the padding


_DEFAULTS: Mapping[str, Any] = {
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "d_model": 1024,
    "max_position_embeddings": 1024,
}
MARIAN = Seq2SeqPage(
    _marian,
    _marian_weights,
    {**_DEFAULTS, "vocab_size": 58101, "activation_function": "gelu", "pad_token_id": 58100},
)
M2M100 = Seq2SeqPage(
    _m2m100,
    _m2m100_weights,
    {**_DEFAULTS, "vocab_size": 128112, "activation_function": "relu", "scale_embedding": True},
    ("model.encoder.embed_positions.weights", "model.decoder.embed_positions.weights"),
)
