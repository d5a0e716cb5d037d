"""T5, T5 1.1, Flan-T5 and mT5: encoder-decoders with biases of distances in place of positions."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.convert.architectures.bart import Seq2Seq, Seq2SeqPage, attention, tables
from models.convert.architectures.page import Variable, Weights
from models.convert.contract import CannotConvert
from models.convert.stated import Stated

_ATTENTION = ("q", "k", "v", "o")


def _facts(stated: Stated, *, scaled: bool) -> Seq2Seq:
    layers, heads = stated.layers("num_layers"), stated.integer("num_heads")
    written = str(stated.get("feed_forward_proj"))
    gate, _, act = written.rpartition("-")
    if gate not in ("", "gated"):
        raise CannotConvert(f"config.json: feed_forward_proj is {written[:40]!r}, which is not computed here.")
    act = "gelu_new" if written == "gated-gelu" else act
    width, rows = stated.integer("d_model"), stated.integer("vocab_size")
    return Seq2Seq(
        encoder_layers=layers,
        decoder_layers=stated.integer("num_decoder_layers", layers, most=1024),
        encoder_inner=stated.integer("d_ff"),
        decoder_inner=stated.integer("d_ff"),
        encoder_heads=heads,
        decoder_heads=heads,
        width=width,
        heads_width=heads * stated.integer("d_kv"),
        rows=rows,
        vocabulary=rows,
        activation=Stated({"activation": act}, {}).activation("activation"),
        pre_norm=True,
        buckets=stated.integer("relative_attention_num_buckets"),
        distance=stated.integer("relative_attention_max_distance"),
        gated=gate == "gated",
        # The first T5 ties the last layer to the embeddings and scales its input; later models do neither.
        output_scale=width**-0.5 if scaled and stated.get("tie_word_embeddings") is not False else None,
        epsilon=stated.number("layer_norm_epsilon"),
    )


def _t5(stated: Stated) -> Seq2Seq:
    return _facts(stated, scaled=True)


def _mt5(stated: Stated) -> Seq2Seq:
    return _facts(stated, scaled=False)


def _weights(n: Seq2Seq, take: Weights) -> Iterator[Variable]:
    source, target, last = tables(n, take, "", "lm_head.weight")
    yield "encoder/embeddings_0/weight", source
    yield "decoder/embeddings/weight", target
    yield "decoder/projection/weight", last
    shape = (n.heads_width, n.width)
    for side, layers, inner in (
        ("encoder", n.encoder_layers, n.encoder_inner),
        ("decoder", n.decoder_layers, n.decoder_inner),
    ):
        yield f"{side}/layer_norm/gamma", take.take(f"{side}.final_layer_norm.weight", n.width)
        name = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        biases = take.take(name, n.buckets, n.encoder_heads)
        for i in range(layers):
            block, here = f"{side}.block.{i}.layer.", f"{side}/layer_{i}/"
            kinds = [("SelfAttention", "self_attention"), ("EncDecAttention", "attention")][: 1 + (side == "decoder")]
            for at, (own, kind) in enumerate(kinds):
                yield from attention(
                    take, f"{block}{at}.{own}.", f"{here}{kind}/", _ATTENTION, shape, cross=at == 1, biased=False
                )
                yield f"{here}{kind}/layer_norm/gamma", take.take(f"{block}{at}.layer_norm.weight", n.width)
            yield f"{here}self_attention/relative_attention_bias", biases
            yield f"{here}ffn/layer_norm/gamma", take.take(f"{block}{len(kinds)}.layer_norm.weight", n.width)
            dense = f"{block}{len(kinds)}.DenseReluDense."
            firsts = {"wi_0": "linear_0", "wi_1": "linear_0_noact"} if n.gated else {"wi": "linear_0"}
            for own, kind in firsts.items():
                yield f"{here}ffn/{kind}/weight", take.take(f"{dense}{own}.weight", inner, n.width)
            yield f"{here}ffn/linear_1/weight", take.take(f"{dense}wo.weight", n.width, inner)


_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_heads": 8,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
}
_IGNORED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias",)
T5 = Seq2SeqPage(_t5, _weights, _DEFAULTS, _IGNORED)
MT5 = Seq2SeqPage(
    _mt5,
    _weights,
    {
        **_DEFAULTS,
        "vocab_size": 250112,
        "d_ff": 1024,
        "num_layers": 8,
        "num_heads": 6,
        "feed_forward_proj": "gated-gelu",
    },
    _IGNORED,
)
