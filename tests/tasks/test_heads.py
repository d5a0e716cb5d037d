"""A head in numpy gives the same outputs as the original head."""

import math
from pathlib import Path

import numpy as np
import pytest

from models.cards import HeadSpec
from server.tasks.encoding import Head

LABELS = ("no", "perhaps", "yes")
WIDTH = 6


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {"weight": (3, WIDTH), "bias": (3,), "dense_weight": (WIDTH, WIDTH), "dense_bias": (WIDTH,)}
    return {name: random.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def spec(**fields: object) -> HeadSpec:
    return HeadSpec("labels", LABELS, **{"kind": "softmax", "pooling": "cls", "file": "head.npz", **fields})  # type: ignore[arg-type]


FUNCTIONS = {
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
}


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", None])
def test_probabilities_are_those_of_the_layers_one_after_another(
    tmp_path: Path, kind: str, activation: str | None
) -> None:
    saved = arrays()
    if activation is None:
        saved = {name: array for name, array in saved.items() if not name.startswith("dense")}
    np.savez(tmp_path / "head.npz", **saved)
    vectors = np.random.default_rng(1).normal(0, 1, (4, WIDTH)).astype(np.float32)
    head = Head(spec(kind=kind, activation=activation or "tanh", temperature=1.5), tmp_path)
    for vector, found in zip(vectors, head.probabilities(vectors), strict=True):
        hidden = [float(x) for x in vector]
        if activation is not None:
            sums = [sum(w * x for w, x in zip(row, hidden, strict=True)) for row in saved["dense_weight"]]
            shifted = [s + b for s, b in zip(sums, saved["dense_bias"], strict=True)]
            hidden = [FUNCTIONS[activation](x) for x in shifted]
        logits = [sum(w * x for w, x in zip(row, hidden, strict=True)) for row in saved["weight"]]
        scaled = [(x + b) / 1.5 for x, b in zip(logits, saved["bias"], strict=True)]
        if kind == "sigmoid":
            expected = [1 / (1 + math.exp(-x)) for x in scaled]
        else:
            expected = [math.exp(x) / sum(map(math.exp, scaled)) for x in scaled]
        assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "broken",
    [
        {"weight": np.zeros((2, WIDTH), np.float32)},
        {"dense_weight": np.zeros((WIDTH + 1, WIDTH), np.float32)},
        {"dense_bias": np.full(WIDTH, np.nan, np.float32)},
        {"bias": np.full(3, np.inf, np.float32)},
    ],
)
def test_a_head_that_does_not_fit_is_refused(tmp_path: Path, broken: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "head.npz", **{**arrays(), **broken})
    with pytest.raises(ValueError, match="the head 'labels'"):
        Head(spec(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY", "no weight"])
def test_a_file_that_is_no_head_is_named(tmp_path: Path, content: bytes | str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "head.npz").write_bytes(content)
    else:
        np.savez(tmp_path / "head.npz", bias=np.zeros(3))
    with pytest.raises(ValueError, match=r"head\.npz"):
        Head(spec(), tmp_path)
