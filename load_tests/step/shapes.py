"""Model folders of real shapes with random weights, for timing: what is computed does not depend on the values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama-type decoder."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int
    tied: bool = True
    bias: bool = False


DEVIATION = 0.7
"""Of a weight, times the root of the inputs."""
INTEGERS_DEVIATION = 127 / np.sqrt(3)
"""Of integers drawn evenly from -127 to 127."""
SHAPES = {
    "15M": Shape(6, 288, 6, 6, 48, 768, 32000),
    "135M": Shape(30, 576, 9, 3, 64, 1536, 49152),
    "360M": Shape(32, 960, 15, 5, 64, 2560, 49152),
    "0.5B": Shape(24, 896, 14, 2, 64, 4864, 151936, bias=True),
    "1.1B": Shape(22, 2048, 32, 4, 64, 5632, 32000, tied=False),
}


def write(folder: Path, shape: Shape) -> Path:
    """Write the shape's model folder once; a folder already there is taken as it is."""
    if (folder / "config.json").exists():
        return folder
    random = np.random.default_rng(0)

    def fill(layer: Any, outputs: int, inputs: int) -> None:
        """Integers as they are stored: rounding floats to them would take minutes."""
        layer.weight = random.integers(-127, 128, (outputs, inputs), np.int8)
        spread = random.uniform(0.99, 1.01, outputs)  # no two alike, or the writer would store one of them
        layer.weight_scale = (INTEGERS_DEVIATION * np.sqrt(inputs) / DEVIATION * spread).astype(np.float32)

    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape.layers,
        shape.heads,
        activation=common_spec.Activation.SWISH,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        num_heads_kv=shape.kv_heads,
        head_dim=shape.head_dim,
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    fill(decoder.embeddings, shape.vocabulary, shape.width)
    if shape.tied:
        decoder.projection.weight = decoder.embeddings.weight
        decoder.projection.weight_scale = decoder.embeddings.weight_scale
    else:
        fill(decoder.projection, shape.vocabulary, shape.width)
    decoder.layer_norm.gamma = np.ones(shape.width, np.float32)
    for layer in decoder.layer:
        qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
        fill(layer.self_attention.linear[0], qkv, shape.width)
        if shape.bias:
            layer.self_attention.linear[0].bias = np.zeros(qkv, np.float32)
        fill(layer.self_attention.linear[1], shape.width, shape.heads * shape.head_dim)
        fill(layer.ffn.linear_0, shape.inner, shape.width)
        fill(layer.ffn.linear_0_noact, shape.inner, shape.width)
        fill(layer.ffn.linear_1, shape.width, shape.inner)
        layer.self_attention.layer_norm.gamma = np.ones(shape.width, np.float32)
        layer.ffn.layer_norm.gamma = np.ones(shape.width, np.float32)
    spec.config.layer_norm_epsilon = 1e-5
    spec.register_vocabulary([f"t{i}" for i in range(shape.vocabulary)])
    spec.validate()
    spec.optimize()  # stores once what is there twice
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    return folder
