"""A decoder in numpy, from the variables of a file: what is compared where CTranslate2 computes something else.

It computes in float64, a whole text at a time, and knows every attribute that our engine knows. What an attribute does
is seen by taking it away.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.recipes.ctranslate2_file import read_ctranslate2_weights

Floats = npt.NDArray[np.float64]
Variables = Mapping[str, npt.NDArray[np.float32]]
_NORMS = {
    "shared": ("shared_layer_norm", None, "shared_layer_norm", None),
    "around": ("input", "post_attention", "pre_feedforward", "post_feedforward"),
    "parallel": ("input", None, "post_attention", None),
    "after": (None, "post_attention", None, "post_feedforward"),
    "before": ("self_attention/layer_norm", None, "ffn/layer_norm", None),
}


def read(folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The variables of a folder's file, by their names without ``decoder/``."""
    return {k.removeprefix("decoder/"): v for k, v in read_ctranslate2_weights(folder / "model.bin").items()}


def logits(folder: Path, ids: Sequence[int], variables: Variables | None = None, **config: float) -> Floats:
    """Logits of every position; ``variables`` in place of the file's, ``config`` in place of config.json's values."""
    stated = {**json.loads((folder / "config.json").read_text()), **config}
    return _Decoder(variables or read(folder), stated)(list(ids))


class _Decoder:
    def __init__(self, variables: Variables, config: Mapping[str, Any]) -> None:
        self._v = variables
        self._epsilon = float(config.get("layer_norm_epsilon") or 1e-6)
        self._caps = [float(config.get(f"{which}_logit_softcap") or 0) for which in ("attention", "final")]

    def __call__(self, ids: list[int]) -> Floats:
        v = self._v
        table = self._array("embeddings/weight")
        factor = self._scalar("scale_embeddings", 1.0)
        x = table[ids] * (np.sqrt(table.shape[1]) if factor == 1 else factor or 1.0)
        if "position_encodings/encodings" in v:
            x = x + self._array("position_encodings/encodings")[: len(ids)]
        for layer in range(sum(name.endswith("self_attention/linear_0/weight") for name in v)):
            x = self._layer(x, f"layer_{layer}/")
        out = self._linear(self._norm(x, "layer_norm"), "projection")
        return _capped(out, self._caps[1] or self._scalar("final_logit_softcapping", 0))

    def _layer(self, x: Floats, here: str) -> Floats:
        kind = next(k for k, names in _NORMS.items() if all(n is None or self._has(here, n) for n in names))
        before, behind, before_inner, behind_inner = (n and here + _full(n) for n in _NORMS[kind])
        attended = self._attention(self._norm(x, before), here)
        with_attention = x + self._norm(attended, behind)
        inner = self._inner(self._norm(x if kind in ("shared", "parallel") else with_attention, before_inner), here)
        return with_attention + self._norm(inner, behind_inner)

    def _attention(self, x: Floats, here: str) -> Floats:
        scope = f"{here}self_attention/"
        heads = int(self._scalar("num_heads", 8))
        kv_heads = int(self._scalar(f"{scope}num_heads_kv", heads))
        rows = self._linear(x, f"{scope}linear_0")
        dim = rows.shape[1] // (heads + 2 * kv_heads)
        q, k, v = np.split(rows, [heads * dim, (heads + kv_heads) * dim], axis=1)
        rotated_first = self._scalar(f"{scope}qk_norm_after_rotation", 0)
        made = []
        for part, norm, count in ((q, f"{scope}q_norm", heads), (k, f"{scope}k_norm", kv_heads)):
            whole = f"{norm}/gamma" in self._v and len(self._v[f"{norm}/gamma"]) != dim
            part = (self._norm(part, norm) if whole else part).reshape(len(x), count, dim)
            each = f"{norm}/gamma" in self._v and not whole
            if rotated_first:
                part = self._norm(self._rotated(part, scope), norm)
            else:
                part = self._rotated(self._norm(part, norm) if each else part, scope)
            made.append(part)
        q, k, v = (
            made[0],
            *(np.repeat(p, heads // kv_heads, axis=1) for p in (made[1], v.reshape(len(x), kv_heads, dim))),
        )
        scale = self._scalar(f"{scope}queries_scale", dim**-0.5)
        scores = _capped(np.einsum("qhd,khd->hqk", q, k) * scale, self._caps[0])
        distance = np.arange(len(x))[:, None] - np.arange(len(x))
        window = int(self._scalar(f"{scope}sliding_window", 0)) or len(x)
        scores = np.where((distance < 0) | (distance >= window), -np.inf, scores)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("hqk,khd->qhd", shares / shares.sum(-1, keepdims=True), v).reshape(len(x), -1)
        return self._linear(mixed, f"{scope}linear_1")

    def _rotated(self, x: Floats, scope: str) -> Floats:
        dims = int(self._scalar(f"{scope}rotary_dim", -1))
        if dims < 0:
            return x
        dims = dims or x.shape[-1]
        frequencies = self._scalar(f"{scope}rotary_base", 10000.0) ** -(np.arange(0, dims, 2) / dims)
        kind, attention = int(self._scalar(f"{scope}rotary_scaling_type", -1)), 1.0
        if kind == 0:
            frequencies = frequencies / self._scalar(f"{scope}rotary_scaling_factor", 1)
        elif kind == 1:
            original = self._scalar(f"{scope}original_max_position_embeddings", 0)
            stretch = self._scalar(f"{scope}max_position_embeddings", 0) / (original or 1)
            usual = np.sqrt(1 + np.log(stretch) / np.log(original)) if stretch > 1 else 1.0
            attention = self._scalar(f"{scope}rotary_attention_factor", usual)
            far = f"{scope}rotary_scaling_long_factor"
            frequencies = frequencies / self._array(
                far if far in self._v and len(x) > original else f"{scope}rotary_scaling_short_factor"
            )
        angles = np.arange(len(x))[:, None, None] * frequencies
        cosine, sine = np.cos(angles) * attention, np.sin(angles) * attention
        turned = np.array(x)
        interleaved = self._scalar(f"{scope}rotary_interleave", 1)
        first, second = (
            (slice(0, dims, 2), slice(1, dims, 2)) if interleaved else (slice(0, dims // 2), slice(dims // 2, dims))
        )
        turned[..., first] = x[..., first] * cosine - x[..., second] * sine
        turned[..., second] = x[..., second] * cosine + x[..., first] * sine
        return turned

    def _inner(self, x: Floats, here: str) -> Floats:
        made = _ACTIVATIONS[int(self._scalar("activation", 0))](self._linear(x, f"{here}ffn/linear_0"))
        if f"{here}ffn/linear_0_noact/weight" in self._v:
            made = made * self._linear(x, f"{here}ffn/linear_0_noact")
        return self._linear(made, f"{here}ffn/linear_1")

    def _norm(self, x: Floats, name: str | None) -> Floats:
        if name is None:
            return x
        gamma = self._array(f"{name}/gamma") + self._scalar(f"{name}/layer_norm_use_residual", 0)
        beta = self._v.get(f"{name}/beta")
        x = x if beta is None else x - x.mean(-1, keepdims=True)
        scaled: Floats = x / np.sqrt((x * x).mean(-1, keepdims=True) + self._epsilon) * gamma
        return scaled if beta is None else scaled + beta

    def _linear(self, x: Floats, name: str) -> Floats:
        made: Floats = x @ self._array(f"{name}/weight").T
        return made + self._array(f"{name}/bias") if f"{name}/bias" in self._v else made

    def _has(self, here: str, name: str) -> bool:
        return f"{here}{_full(name)}/gamma" in self._v

    def _array(self, name: str) -> Floats:
        return self._v[name].astype(np.float64)

    def _scalar(self, name: str, otherwise: float) -> float:
        return float(self._v[name]) if name in self._v else float(otherwise)


def _full(name: str) -> str:
    return name if name.endswith("layer_norm") else f"{name}_layer_norm"


def _capped(x: Floats, cap: float) -> Floats:
    return np.tanh(x / cap) * cap if cap else x


def _gelu(x: Floats) -> Floats:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


_ERF = np.vectorize(math.erf)
_ACTIVATIONS = {
    0: lambda x: np.maximum(x, 0),
    1: _gelu,
    2: lambda x: x / (1 + np.exp(-x)),
    3: lambda x: x / 2 * (1 + _ERF(x / math.sqrt(2))),
}
