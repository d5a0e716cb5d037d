"""The facts of a decoder's computation, and their form in CTranslate2's specification.

A family's page fills in a `Decoder`, and this module turns its scalars into variables. It writes every fact, also those
that CTranslate2's own converter leaves out: scaled positions, windows of single layers, soft caps, the scale of
queries. A model without these facts is wrong without a warning, and the error grows with the text.

CTranslate2 ignores unknown attributes. So a file with a fact that CTranslate2 cannot compute has a specification of our
own, which CTranslate2 refuses.
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
FOUR_BIT_REVISION = 2
"""The revision of our specification in which matrices may have four-bit weights."""
Norm = Literal["rms", "rms plus one", "layer"]
"""``rms plus one``: the file stores the norm's weight less one."""
Norms = Literal["before", "around", "after", "parallel", "shared"]
"""The places of a layer's norms: before each half, also after it, only after it; or both halves read the layer's input,
each through a norm of its own or both through one norm."""
HeadNorm = Literal["each", "each rotated", "all"]
"""The normalisation of queries and keys: each head before its rotation, each head after it, or all heads as one row."""
ACTIVATIONS: Mapping[str, int] = {
    "relu": 0, "gelu_new": 1, "gelu_pytorch_tanh": 1, "gelu_fast": 1, "silu": 2, "swish": 2, "gelu": 3, "quick_gelu": 4,
}  # fmt: skip
"""CTranslate2's number for each of transformers' names."""
_SCALINGS = {"linear": 0, "longrope": 1, "yarn": 1, "llama3": 2}


@dataclass(frozen=True, slots=True)
class Rope:
    """The position encoding of a layer's queries and keys."""

    base: float
    kind: Literal["default", "linear", "llama3", "yarn", "longrope"] = "default"
    factor: float = 1.0
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    original_tokens: int = 0
    """llama3 and longrope: the original context."""
    stretched_tokens: int = 0
    """yarn and longrope: the stretched context."""
    divisors: tuple[float, ...] = ()
    """yarn and longrope: the divisor of each frequency."""
    far_divisors: tuple[float, ...] = ()
    """longrope: the divisors for texts longer than the original context."""
    attention: float = 1.0
    """yarn and longrope: the factor of cosines and sines."""
    dimensions: int = 0
    """The number of a head's first places that rotate; 0: all."""
    interleaved: bool = False
    """True: neighbours rotate together. False: the halves of a head do."""

    @property
    def is_own(self) -> bool:
        """Tells whether CTranslate2 cannot compute it; of longrope it knows only the usual factor."""
        return self.kind == "yarn" or (self.kind == "longrope" and abs(self.attention - self.usual_attention) > 1e-6)

    @property
    def usual_attention(self) -> float:
        """The factor of cosines and sines that follows from longrope's ratio of the two contexts."""
        stretch = self.stretched_tokens / max(1, self.original_tokens)
        return math.sqrt(1 + math.log(stretch) / math.log(self.original_tokens)) if stretch > 1 else 1.0


@dataclass(frozen=True, slots=True)
class Decoder:
    """All facts of a decoder except its weights."""

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
    """The position encoding of each layer; empty: positions are learned."""
    windows: tuple[int, ...] = ()
    """The sliding window of each layer, 0 for a layer that sees all; empty: all layers see all."""
    norm: Norm = "rms"
    norms: Norms = "before"
    qk_norm: HeadNorm | None = None
    gated: bool = True
    query_scale: float | None = None
    """The factor of queries; None: one over the root of the head's size."""
    embedding_factor: float | None = None
    final_softcap: float | None = None
    attention_softcap: float | None = None
    tied: bool = False
    """True if the last layer shares the embeddings' weights."""
    biased: frozenset[str] = frozenset()
    """The layers with a bias: ``qkv``, ``out``, ``mlp``, ``projection``."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """Factors of weights, by the end of the weights' names."""
    logits_factor: float = 1.0
    """The factor of the logits."""

    @property
    def window(self) -> int | None:
        """The smallest window; None if all layers see all."""
        return smallest(self.windows)

    @property
    def closed_loop_tokens(self) -> int | None:
        """The most tokens for which CTranslate2's own loop computes the model correctly; None: no limit."""
        if self.is_own or self.attention_softcap:
            return 0
        originals = [rope.original_tokens for rope in self.ropes if rope.far_divisors]
        return smallest([self.window or 0, *originals])

    @property
    def is_own(self) -> bool:
        """Tells whether CTranslate2 would compute these facts wrongly, so that only our engine serves the model."""
        return (
            self.norms == "after" or self.qk_norm in ("each rotated", "all") or any(rope.is_own for rope in self.ropes)
        )

    @property
    def specification(self) -> tuple[str, int]:
        """The specification's name and revision in the decoder's file."""
        return (OWN_SPECIFICATION, OWN_REVISION) if self.is_own else (SPECIFICATION, REVISION)

    @property
    def query_width(self) -> int:
        """The width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """The width of all key heads together."""
        return self.kv_heads * self.head_dim


def smallest(windows: Sequence[int]) -> int | None:
    """The smallest of the windows."""
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
    if decoder.embedding_factor == decoder.width**0.5:  # a flag states the root, a float any other factor
        found["scale_embeddings"] = np.int8(1)
        found["embeddings/multiply_by_sqrt_depth"] = np.float32(decoder.embedding_factor)
    elif decoder.embedding_factor is not None:
        found["scale_embeddings"] = np.float32(decoder.embedding_factor)
    if decoder.final_softcap is not None:
        found["final_logit_softcapping"] = np.float32(decoder.final_softcap)
    if rms:
        # CTranslate2 would cut its whole cache to this window, so the layers state their own windows.
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
    """A few computed numbers that no file of weights holds."""
    return Computed((len(values),), lambda begin, end: np.array(values[begin:end], np.float32))
