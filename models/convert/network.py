"""What a decoder computes, and how CTranslate2's specification says it.

A family's page fills in a `Decoder`; here its scalars become variables. Every fact is stated, also those that
CTranslate2's own converter leaves out: scaled positions, windows of single layers, soft caps, the scale of queries.
A model without them is wrong without a warning, and more so the longer the text.

CTranslate2 ignores an attribute that it does not know. So a file with a fact that it cannot compute has a specification
of our own, which it refuses.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from models.convert.model_bin import Scalar
from models.convert.tensors.base import Computed, Tensor

SPECIFICATION, REVISION = "TransformerDecoderSpec", 8
OWN_SPECIFICATION, OWN_REVISION = "HearthDecoderSpec", 1
Norm = Literal["rms", "rms plus one", "layer"]
"""``rms plus one``: what is stored is one less than the norm's weight."""
Norms = Literal["before", "around", "after", "parallel", "shared"]
"""Where a layer has its norms: before each half, also behind it, only behind it; or both halves read the layer's input,
each through a norm of its own or both through one."""
HeadNorm = Literal["each", "each rotated", "all"]
"""What is normalised of queries and keys: each head before it rotates, each head after it, or all heads as one row."""
ACTIVATIONS: Mapping[str, int] = {
    "relu": 0, "gelu_new": 1, "gelu_pytorch_tanh": 1, "gelu_fast": 1, "silu": 2, "swish": 2, "gelu": 3, "quick_gelu": 4,
}  # fmt: skip
"""CTranslate2's number for each of transformers' names."""
_SCALINGS = {"linear": 0, "longrope": 1, "yarn": 1, "llama3": 2}


@dataclass(frozen=True, slots=True)
class Rope:
    """How the positions of a layer are written into queries and keys."""

    base: float
    kind: Literal["default", "linear", "llama3", "yarn", "longrope"] = "default"
    factor: float = 1.0
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    original_tokens: int = 0
    """llama3 and longrope: the context before it was stretched."""
    stretched_tokens: int = 0
    """yarn and longrope: the context afterwards."""
    divisors: tuple[float, ...] = ()
    """yarn and longrope: what each frequency is divided by."""
    far_divisors: tuple[float, ...] = ()
    """longrope: the same for texts longer than the original context."""
    attention: float = 1.0
    """yarn and longrope: what cosines and sines are multiplied with."""
    dimensions: int = 0
    """How many of a head's first places rotate; 0: all."""
    interleaved: bool = False
    """Whether neighbours rotate together, rather than the halves of a head."""

    @property
    def is_own(self) -> bool:
        """Whether CTranslate2 does not compute it: of longrope it knows the usual factor only."""
        return self.kind == "yarn" or (self.kind == "longrope" and abs(self.attention - self.usual_attention) > 1e-6)

    @property
    def usual_attention(self) -> float:
        """The factor of cosines and sines that follows from how far longrope stretched the context."""
        stretch = self.stretched_tokens / max(1, self.original_tokens)
        return math.sqrt(1 + math.log(stretch) / math.log(self.original_tokens)) if stretch > 1 else 1.0


@dataclass(frozen=True, slots=True)
class Decoder:
    """The facts beside the weights."""

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context_tokens: int
    epsilon: float
    activation: str
    ropes: tuple[Rope, ...] = ()
    """Of each layer; none: positions are learned."""
    windows: tuple[int, ...] = ()
    """The sliding window of each layer; 0 where it sees all; none: all see all."""
    norm: Norm = "rms"
    norms: Norms = "before"
    qk_norm: HeadNorm | None = None
    gated: bool = True
    query_scale: float | None = None
    """None: one over the root of the head's size."""
    embedding_factor: float | None = None
    final_softcap: float | None = None
    attention_softcap: float | None = None
    tied: bool = False
    """Whether the last layer is the embeddings."""
    biased: frozenset[str] = frozenset()
    """Which layers have a bias: ``qkv``, ``out``, ``mlp``, ``projection``."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """What the weights are multiplied with, by the end of their names."""
    logits_factor: float = 1.0
    """What the logits are multiplied with."""

    @property
    def window(self) -> int | None:
        """The smallest window there is; None where all layers see all."""
        return smallest(self.windows)

    @property
    def closed_loop_tokens(self) -> int | None:
        """See `models.cards.GenerationSpec`."""
        if self.is_own or self.attention_softcap:
            return 0
        originals = [rope.original_tokens for rope in self.ropes if rope.far_divisors]
        return smallest([self.window or 0, *originals])

    @property
    def is_own(self) -> bool:
        """Whether CTranslate2 computes something else from what is stated here, so that our engine alone serves it."""
        return (
            self.norms == "after" or self.qk_norm in ("each rotated", "all") or any(rope.is_own for rope in self.ropes)
        )

    @property
    def specification(self) -> tuple[str, int]:
        """The name and the revision that a file of it has."""
        return (OWN_SPECIFICATION, OWN_REVISION) if self.is_own else (SPECIFICATION, REVISION)

    @property
    def query_width(self) -> int:
        """All heads of the queries beside each other."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """All heads of the keys beside each other."""
        return self.kv_heads * self.head_dim


def smallest(windows: Sequence[int]) -> int | None:
    """The smallest of the windows that there are."""
    return min((window for window in windows if window), default=None)


def scalars(decoder: Decoder) -> dict[str, Scalar]:
    """The decoder's scalars as variables of CTranslate2's specification."""
    rms = decoder.norm != "layer"
    found: dict[str, Scalar] = {
        "num_heads": np.int16(decoder.heads),
        "pre_norm": np.int8(1),
        "activation": np.int8(ACTIVATIONS[decoder.activation]),
        "alignment_layer": np.int16(-1),
        "alignment_heads": np.int16(1),
        "scale_embeddings": np.int8(0),
        "alibi": np.int8(0),
        "alibi_use_positive_positions": np.int8(0),
        "scale_alibi": np.int8(0),
        "start_from_zero_embedding": np.int8(0),
    }
    if decoder.embedding_factor == decoder.width**0.5:  # a flag says that it is the root, a float what it is
        found["scale_embeddings"] = np.int8(1)
        found["embeddings/multiply_by_sqrt_depth"] = np.float32(decoder.embedding_factor)
    elif decoder.embedding_factor is not None:
        found["scale_embeddings"] = np.float32(decoder.embedding_factor)
    if decoder.final_softcap is not None:
        found["final_logit_softcapping"] = np.float32(decoder.final_softcap)
    if rms:
        # CTranslate2 would cut its whole cache to this; the layers' own windows are what is meant.
        found["sliding_window"] = np.int32(0)
    norms = ["layer_norm"]
    for i in range(decoder.layers):
        attention = f"layer_{i}/self_attention"
        found |= {f"{attention}/{name}": value for name, value in _attention(decoder, i).items()}
        norms += [f"layer_{i}/{name}" for name in norm_names(decoder)]
    if decoder.norm == "rms plus one":
        found |= {f"{name}/layer_norm_use_residual": np.int8(1) for name in norms}
    return {f"decoder/{name}": value for name, value in found.items()}


_NORM_NAMES: Mapping[Norms, tuple[str, ...]] = {
    "before": ("self_attention/layer_norm", "ffn/layer_norm"),
    "around": (
        *("input_layer_norm", "post_attention_layer_norm"),
        *("pre_feedforward_layer_norm", "post_feedforward_layer_norm"),
    ),
    "after": ("post_attention_layer_norm", "post_feedforward_layer_norm"),
    "parallel": ("input_layer_norm", "post_attention_layer_norm"),
    "shared": ("shared_layer_norm",),
}


def norm_names(decoder: Decoder) -> dict[str, int]:
    """The norms of a layer in the specification, with their sizes."""
    names = dict.fromkeys(_NORM_NAMES[decoder.norms], decoder.width)
    if decoder.qk_norm:
        sizes = (decoder.query_width, decoder.kv_width) if decoder.qk_norm == "all" else (decoder.head_dim,) * 2
        names |= {"self_attention/q_norm": sizes[0], "self_attention/k_norm": sizes[1]}
    return names


def _attention(decoder: Decoder, layer: int) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    if decoder.kv_heads != decoder.heads:
        found["num_heads_kv"] = np.int32(decoder.kv_heads)
    if not decoder.ropes:
        return found
    rope = decoder.ropes[layer]
    found |= {
        "head_dim": np.int32(decoder.head_dim),
        "sliding_window": np.int32(decoder.windows[layer] if decoder.windows else 0),
        "rotary_dim": np.int32(rope.dimensions),
        "rotary_interleave": np.int8(rope.interleaved),
        "rotary_base": np.float32(rope.base),
    }
    if decoder.query_scale is not None:
        found["queries_scale"] = np.float32(decoder.query_scale)
    if decoder.qk_norm == "each rotated":
        found["qk_norm_after_rotation"] = np.int8(1)
    if rope.kind != "default":
        found["rotary_scaling_type"] = np.int8(_SCALINGS[rope.kind])
    if rope.kind in ("linear", "llama3"):
        found["rotary_scaling_factor"] = np.float32(rope.factor)
    if rope.kind == "llama3":
        found["rotary_low_freq_factor"] = np.float32(rope.low_frequency)
        found["rotary_high_freq_factor"] = np.float32(rope.high_frequency)
    if rope.kind in ("llama3", "longrope"):
        found["original_max_position_embeddings"] = np.int32(rope.original_tokens)
    if rope.kind == "longrope":
        found["max_position_embeddings"] = np.int32(rope.stretched_tokens)
    if rope.is_own:
        found["rotary_attention_factor"] = np.float32(rope.attention)
    return found


def vectors(decoder: Decoder) -> dict[str, Tensor]:
    """The decoder's facts that are lists, as variables of the specification."""
    found: dict[str, Tensor] = {}
    for i, rope in enumerate(decoder.ropes):
        lists = {"rotary_scaling_short_factor": rope.divisors, "rotary_scaling_long_factor": rope.far_divisors}
        for name, values in lists.items():
            if values:
                found[f"decoder/layer_{i}/self_attention/{name}"] = _listed(values)
    return found


def _listed(values: Sequence[float]) -> Tensor:
    """A few numbers that no file of weights holds."""
    return Computed((len(values),), lambda begin, end: np.array(values[begin:end], np.float32))
