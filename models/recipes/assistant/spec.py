"""The decoder as CTranslate2 writes and reads it, in both directions.

Contract: `write_engine_model` gives a folder whose float32 logits equal the network's;
`shipped_weights` reads such a folder back (int8 rows dequantised) by the network's own names,
so that training can go on from what ships.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.specs import common_spec, transformer_spec
from torch import Tensor

from models.families.hearth_assistant import BOS, END
from models.recipes.assistant.network import NORM_EPSILON, ROPE_THETA, Shape
from models.recipes.ctranslate2_file import read_ctranslate2_weights

_IN_LAYER = (
    ("input_norm.weight", "self_attention/layer_norm/gamma"),
    ("qkv.weight", "self_attention/linear_0/weight"),
    ("out.weight", "self_attention/linear_1/weight"),
    ("ffn_norm.weight", "ffn/layer_norm/gamma"),
    ("gate.weight", "ffn/linear_0/weight"),
    ("up.weight", "ffn/linear_0_noact/weight"),
    ("down.weight", "ffn/linear_1/weight"),
)


def _names(layers: int) -> Iterator[tuple[str, str]]:
    """Pairs of the network's parameter name and the engine's variable name."""
    yield "embeddings.weight", "decoder/embeddings/weight"
    yield "norm.weight", "decoder/layer_norm/gamma"
    for layer in range(layers):
        for ours, theirs in _IN_LAYER:
            yield f"layers.{layer}.{ours}", f"decoder/layer_{layer}/{theirs}"


def write_engine_model(
    folder: Path, shape: Shape, weights: Mapping[str, Tensor], pieces: list[str], quantization: str | None
) -> None:
    """Write model.bin, config.json and vocabulary.json; `quantization` None keeps float32."""
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape.layers,
        shape.heads,
        activation=common_spec.Activation.SWISH,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=ROPE_THETA,
        head_dim=shape.head_width if shape.head_width * shape.heads != shape.width else None,
        num_heads_kv=shape.kv_heads if shape.kv_heads != shape.heads else None,
    )
    spec.decoder.scale_embeddings = True
    for ours, theirs in _names(shape.layers):
        # A copy: quantisation scales the arrays in place.
        _set(spec, theirs, weights[ours].detach().clone().float().contiguous().numpy())
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.register_vocabulary(pieces)
    spec.config.bos_token = BOS
    spec.config.eos_token = END
    spec.config.unk_token = "<unk>"  # noqa: S105 - a vocabulary entry, not a secret
    spec.config.layer_norm_epsilon = NORM_EPSILON
    spec.validate()
    spec.optimize(quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))


def _set(spec: Any, path: str, value: object) -> None:
    """Set `a/layer_0/c` below a specification; what is no attribute there is `list_index`."""
    *parents, last = path.split("/")
    for part in parents:
        name, _, index = part.rpartition("_")
        spec = getattr(spec, part) if hasattr(spec, part) else getattr(spec, name)[int(index)]
    setattr(spec, last, value)


def shipped_weights(folder: Path, shape: Shape) -> dict[str, Tensor]:
    """The weights of a model folder by the network's names; refuses another shape."""
    stored = read_ctranslate2_weights(folder / "model.bin")
    weights = {ours: torch.from_numpy(np.array(stored[theirs])) for ours, theirs in _names(shape.layers)}
    if weights["embeddings.weight"].shape != (shape.vocabulary, shape.width):
        raise ValueError(f"{folder} holds a model of another shape")
    return weights
