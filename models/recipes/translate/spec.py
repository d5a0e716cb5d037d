"""The network as CTranslate2 writes and reads it, in both directions.

Contract: `write_engine_model` gives a folder whose float32 logits equal the network's;
`shipped_weights` reads the weights of such a folder (int8 ones dequantised) back by the
network's own names, so that training can go on from what ships.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from ctranslate2.specs import common_spec, transformer_spec
from numpy.typing import NDArray
from torch import Tensor

from models.recipes.ctranslate2_file import read_ctranslate2_weights
from models.recipes.translate.network import NetworkShape, sinusoids

# (ours, CTranslate2's) inside a layer; the rest of a variable's path is built in `_names`.
_SELF_ATTENTION = (
    ("attention.query_key_value", "self_attention/linear_0"),
    ("attention.out", "self_attention/linear_1"),
)
_CROSS_ATTENTION = (
    ("cross_attention.query", "attention/linear_0"),
    ("cross_attention.key_value", "attention/linear_1"),
    ("cross_attention.out", "attention/linear_2"),
)
_FEED_FORWARD = (("feed_forward.up", "ffn/linear_0"), ("feed_forward.down", "ffn/linear_1"))
_NORMS = (("attention.norm", "self_attention"), ("feed_forward.norm", "ffn"))
_CROSS_NORM = (("cross_attention.norm", "attention"),)


def _names(shape: NetworkShape) -> Iterator[tuple[str, str]]:
    """Pairs of the network's parameter name and the engine's variable name."""
    yield "embedding.weight", "decoder/embeddings/weight"
    sides = (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers))
    for side, layers in sides:
        cross = side == "decoder"
        matrices = _SELF_ATTENTION + (_CROSS_ATTENTION if cross else ()) + _FEED_FORWARD
        norms = _NORMS + (_CROSS_NORM if cross else ())
        for layer in range(layers):
            for ours, theirs in matrices:
                yield f"{side}.{layer}.{ours}.weight", f"{side}/layer_{layer}/{theirs}/weight"
            for ours, theirs in norms:
                yield from _norm(f"{side}.{layer}.{ours}", f"{side}/layer_{layer}/{theirs}/layer_norm")
        yield from _norm(f"{side}_norm", f"{side}/layer_norm")


def _norm(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.weight", f"{theirs}/gamma"
    yield f"{ours}.bias", f"{theirs}/beta"


def _set(spec: object, path: str, value: object) -> None:
    """Set `a/b_0/c` below a specification, where `b_0` may be an attribute or an item of the list b."""
    *parents, last = path.split("/")
    for part in parents:
        name, _, index = part.rpartition("_")
        spec = getattr(spec, part) if hasattr(spec, part) else getattr(spec, name)[int(index)]
    setattr(spec, last, value)


def _array(weight: Tensor) -> NDArray[np.float32]:
    """A copy of its own: quantisation works in place."""
    array: NDArray[np.float32] = weight.detach().float().clone(memory_format=torch.contiguous_format).numpy()
    return array


def write_engine_model(
    folder: Path, shape: NetworkShape, weights: Mapping[str, Tensor], pieces: list[str], quantization: str | None
) -> None:
    """Write model.bin, config.json and shared_vocabulary.json; `quantization` None keeps float32."""
    spec = transformer_spec.TransformerSpec.from_config(
        (shape.encoder_layers, shape.decoder_layers), shape.heads, activation=common_spec.Activation.RELU
    )
    for ours, theirs in _names(shape):
        _set(spec, theirs, _array(weights[ours]))
    table = _array(weights["embedding.weight"])
    spec.encoder.embeddings[0].weight = table
    spec.decoder.projection.weight = table
    positions = sinusoids(2 * shape.context_tokens, shape.width).numpy()
    spec.encoder.position_encodings.encodings = positions
    spec.decoder.position_encodings.encodings = positions
    spec.register_source_vocabulary(pieces)
    spec.register_target_vocabulary(pieces)
    spec.config.layer_norm_epsilon = 1e-5
    spec.validate()
    spec.optimize(quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))


def shipped_weights(folder: Path) -> tuple[NetworkShape, dict[str, Tensor]]:
    """The shape and the weights of a folder written by `write_engine_model`."""
    stored = read_ctranslate2_weights(folder / "model.bin")
    vocabulary, width = stored["decoder/embeddings/weight"].shape
    shape = NetworkShape(
        vocabulary=vocabulary,
        width=width,
        heads=int(stored["encoder/num_heads"]),
        feed_forward=stored["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        encoder_layers=_layers(stored, "encoder"),
        decoder_layers=_layers(stored, "decoder"),
        context_tokens=len(stored["encoder/position_encodings/encodings"]) // 2,
    )
    return shape, {ours: torch.from_numpy(np.array(stored[theirs])) for ours, theirs in _names(shape)}


def _layers(stored: Mapping[str, object], side: str) -> int:
    return len(
        {
            name.split("/")[1]
            for name in stored
            if name.startswith(f"{side}/layer_") and "norm" not in name.split("/")[1]
        }
    )


def vocabulary_of(folder: Path) -> list[str]:
    """The pieces in the order of their ids."""
    pieces: list[str] = json.loads((folder / "shared_vocabulary.json").read_text(encoding="utf-8"))
    return pieces
