"""Gemma 2 in a few lines of numpy: what no engine at hand computes, as CTranslate2 knows no cap of attention."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.recipes.ctranslate2_file import read_ctranslate2_weights
from tests.engines.step import tiny

Floats = npt.NDArray[np.float32]
HEADS, KV_HEADS, DIM = 4, 2, 16


def logits(
    folder: Path, ids: Sequence[int], *, windows: Sequence[int], final_cap: float, attention_cap: float
) -> Floats:
    """Logits of every position; a window or a cap of 0 is none."""
    weights = read_ctranslate2_weights(folder / "model.bin")

    def of(name: str) -> Floats:
        return weights[f"decoder/{name}"]

    def norm(x: Floats, name: str) -> Floats:
        scaled: Floats = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * (1 + of(f"{name}/gamma"))
        return scaled

    def capped(x: Floats, cap: float) -> Floats:
        return np.tanh(x / cap) * cap if cap else x

    count = len(ids)
    positions = np.arange(count)
    x = of("embeddings/weight")[list(ids)] * np.sqrt(tiny.WIDTH, dtype=np.float32)
    for index, window in enumerate(windows):
        layer = f"layer_{index}"
        rows = norm(x, f"{layer}/input_layer_norm") @ of(f"{layer}/self_attention/linear_0/weight").T
        q, k, v = np.split(rows.reshape(count, -1, DIM), [HEADS, HEADS + KV_HEADS], axis=1)
        q, k = _rotated(q), _rotated(k)
        k, v = (np.repeat(part, HEADS // KV_HEADS, axis=1) for part in (k, v))
        scores = capped(np.einsum("qhd,khd->hqk", q, k) / np.float32(np.sqrt(DIM)), attention_cap)
        distance = positions[:, None] - positions
        hidden = (distance < 0) | (distance >= (window or count))
        shares = np.exp(np.where(hidden, -np.inf, scores))
        shares /= shares.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", shares, v).reshape(count, -1)
        x = x + norm(mixed @ of(f"{layer}/self_attention/linear_1/weight").T, f"{layer}/post_attention_layer_norm")
        inner = norm(x, f"{layer}/pre_feedforward_layer_norm")
        gate, up = inner @ of(f"{layer}/ffn/linear_0/weight").T, inner @ of(f"{layer}/ffn/linear_0_noact/weight").T
        gate = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
        x = x + norm((gate * up) @ of(f"{layer}/ffn/linear_1/weight").T, f"{layer}/post_feedforward_layer_norm")
    out: Floats = capped(norm(x, "layer_norm") @ of("projection/weight").T, final_cap)
    return out


def _rotated(x: Floats) -> Floats:
    angles = np.arange(len(x))[:, None] / 10000 ** (np.arange(0, DIM, 2) / DIM)
    cosine, sine = (f(angles).astype(np.float32)[:, None] for f in (np.cos, np.sin))
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)
