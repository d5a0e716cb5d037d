"""Evens out the columns of a decoder's matrices before they become int8, without changing what the decoder computes.

A matrix has one int8 scale a row, so a column of small numbers beside one of large numbers loses its digits. Dividing a
column by a number is exact if the matrix's input is multiplied by the same number beforehand: by the norm before it, by
the rows of the values before the attention's output, or by the rows of the inner layer's ungated half (cross-layer
equalization). The method needs no text, and the file's form stays the same.

The module leaves a layer unchanged if the layer has a part that is not named here.
"""

import re
from collections.abc import Mapping
from typing import cast

import numpy as np

from models.convert.model_bin import Scalar, Variables, chunks
from models.convert.network import Decoder
from models.convert.tensors.base import Changed, Floats, Tensor

_LAYER = re.compile(r"decoder/layer_\d+/")
_QKV, _OUT = "self_attention/linear_0", "self_attention/linear_1"
_GATE, _UP, _DOWN = "ffn/linear_0", "ffn/linear_0_noact", "ffn/linear_1"
_NORMS = (
    ("self_attention/layer_norm", (_QKV,)),
    ("input_layer_norm", (_QKV,)),
    ("ffn/layer_norm", (_GATE, _UP)),
    ("pre_feedforward_layer_norm", (_GATE, _UP)),
)
"""A norm, and the matrices that read its output."""
_KNOWN = frozenset(
    (
        *(f"{linear}/{kind}" for linear in (_QKV, _OUT, _GATE, _UP, _DOWN) for kind in ("weight", "bias")),
        *(f"{norm}/{kind}" for norm, _ in _NORMS for kind in ("gamma", "beta", "layer_norm_use_residual")),
        *(
            f"{norm}/{kind}"
            for norm in ("post_attention_layer_norm", "post_feedforward_layer_norm")
            for kind in ("gamma", "layer_norm_use_residual")
        ),
        *(
            f"self_attention/{name}"
            for name in (
                *("q_norm/gamma", "q_norm/layer_norm_use_residual", "k_norm/gamma", "k_norm/layer_norm_use_residual"),
                *("num_heads_kv", "head_dim", "sliding_window", "queries_scale", "qk_norm_after_rotation"),
                *("original_max_position_embeddings", "max_position_embeddings"),
            )
        ),
    )
)
"""All parts that a layer may have, besides its position encoding."""
_ROTARY = "self_attention/rotary_"
EXPONENT = 0.5
"""The divisor of a column is this power of its size: half of the difference moves into the part before."""
_DEVIATIONS = 4
"""Differences within this number of standard deviations, which random columns of one size would have, stay."""
_MOST = 64.0
"""The largest factor; the smallest is one over it."""


def equalized(decoder: Decoder, variables: Variables) -> Variables:
    """The same decoder with evened columns; this reads each variable once, for the sizes of its columns."""
    found = dict(variables)
    layers: dict[str, dict[str, Tensor | Scalar]] = {}
    for name, value in variables.items():
        match = _LAYER.match(name)
        if match is not None:
            layers.setdefault(match[0], {})[name.removeprefix(match[0])] = value
    for scope, layer in layers.items():
        if all(name in _KNOWN or name.startswith(_ROTARY) for name in layer):
            found |= {f"{scope}{name}": value for name, value in _layer(decoder, layer).items()}
    return found


def _layer(decoder: Decoder, layer: Mapping[str, Tensor | Scalar]) -> dict[str, Tensor | Scalar]:
    found = dict(layer)
    for norm, readers in _NORMS:
        if f"{norm}/gamma" in layer:
            matrices = [f"{name}/weight" for name in readers if f"{name}/weight" in layer]
            factors = _factors(*_square_means([_tensor(layer, name) for name in matrices]))
            for name in matrices:
                found[name] = _columns_divided(_tensor(found, name), factors)
            less = float(f"{norm}/layer_norm_use_residual" in layer)
            found[f"{norm}/gamma"] = _rows_multiplied(_tensor(found, f"{norm}/gamma"), factors, less)
            if f"{norm}/beta" in layer:
                found[f"{norm}/beta"] = _rows_multiplied(_tensor(found, f"{norm}/beta"), factors)
    # The heads of one group read the same values, so all of them share the factor of a value.
    groups = (decoder.kv_heads, decoder.heads // decoder.kv_heads, decoder.head_dim)
    of_out, rows = _square_means([_tensor(layer, f"{_OUT}/weight")])
    values = _factors(of_out.reshape(groups).mean(1), rows * groups[1])
    found[f"{_OUT}/weight"] = _columns_divided(
        _tensor(found, f"{_OUT}/weight"), np.repeat(values[:, None], groups[1], 1).reshape(-1)
    )
    beside = np.ones(decoder.query_width + decoder.kv_width, np.float32)
    _multiply(found, _QKV, np.concatenate([beside, values.reshape(-1)]))
    if decoder.gated:
        inner = _factors(*_square_means([_tensor(layer, f"{_DOWN}/weight")]))
        found[f"{_DOWN}/weight"] = _columns_divided(_tensor(found, f"{_DOWN}/weight"), inner)
        _multiply(found, _UP, inner)
    return found


def _multiply(found: dict[str, Tensor | Scalar], linear: str, factors: Floats) -> None:
    """Multiply the output of a matrix."""
    for name in (f"{linear}/weight", f"{linear}/bias"):
        if name in found:
            found[name] = _rows_multiplied(_tensor(found, name), factors)


def _tensor(variables: Mapping[str, Tensor | Scalar], name: str) -> Tensor:
    return cast(Tensor, variables[name])


def _square_means(matrices: list[Tensor]) -> tuple[Floats, int]:
    """The mean square of each column over the rows of all matrices, and the number of these rows."""
    sums = np.zeros(matrices[0].shape[1], np.float64)
    for matrix in matrices:
        for chunk in chunks(matrix.shape):
            numbers = matrix.rows(*chunk)
            sums += np.einsum("ij,ij->j", numbers, numbers)
    rows = sum(matrix.shape[0] for matrix in matrices)
    return np.asarray(sums / rows, np.float32), rows


def _factors(square_means: Floats, rows: int) -> Floats:
    """The divisors of columns with these mean squares; one for a column that differs from the median by chance
    alone.
    """
    logs = np.log(np.maximum(square_means, np.finfo(np.float32).tiny), dtype=np.float64)
    logs -= np.median(logs)
    chance = _DEVIATIONS * (2 / rows) ** 0.5  # of the logarithm of a mean of this many squares
    logs[np.abs(logs) < chance] = 0
    return np.asarray(np.exp(np.clip(0.5 * EXPONENT * logs, -np.log(_MOST), np.log(_MOST))), np.float32)


def _columns_divided(matrix: Tensor, factors: Floats) -> Tensor:
    inverse = 1 / factors
    return Changed(matrix, lambda rows, where: np.multiply(rows, inverse, out=rows))


def _rows_multiplied(tensor: Tensor, factors: Floats, less: float = 0.0) -> Tensor:
    """A tensor with its rows multiplied; ``less``: the amount by which stored values are smaller than the real ones."""

    def change(rows: Floats, where: slice) -> Floats:
        by = factors[where].reshape(-1, *[1] * (rows.ndim - 1))
        rows *= by
        return rows + np.float32(less) * (by - 1) if less else rows

    return Changed(tensor, change)
