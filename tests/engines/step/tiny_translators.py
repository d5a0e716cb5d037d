"""Small random encoder-decoders, written by CTranslate2's own writer, and students with a recurrence in the decoder."""

from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import model_spec, transformer_spec

VOCABULARY = 96
WIDTH, HEADS, INNER, LAYERS, POSITIONS = 64, 4, 96, 2, 64
START, END, UNKNOWN = "s", "e", "u"
TOKENS = [END, UNKNOWN, START, *(f"t{i}" for i in range(VOCABULARY - 3))]


def write(folder: Path, *, pre_norm: bool, recurrent: bool = False, seed: int = 0) -> Path:
    """Write a random model; a recurrent one has CTranslate2's names but for its recurrence, and a zero start."""
    random = np.random.default_rng(seed)
    spec = transformer_spec.TransformerSpec.from_config((LAYERS, LAYERS), HEADS, pre_norm=pre_norm)

    def linear(target: Any, outputs: int, inputs: int) -> None:
        target.weight = random.normal(0, 1.6 / np.sqrt(inputs), (outputs, inputs)).astype(np.float32)
        target.bias = random.normal(0, 0.2, outputs).astype(np.float32)

    def norm(target: Any) -> None:
        target.gamma = random.uniform(0.5, 1.5, WIDTH).astype(np.float32)
        target.beta = random.normal(0, 0.1, WIDTH).astype(np.float32)

    table = random.normal(0, 0.3, (VOCABULARY, WIDTH)).astype(np.float32)
    positions = random.normal(0, 0.3, (POSITIONS, WIDTH)).astype(np.float32)
    spec.encoder.embeddings[0].weight = table
    spec.decoder.embeddings.weight = table
    spec.decoder.projection.weight = table * 2
    spec.decoder.projection.bias = random.normal(0, 0.2, VOCABULARY).astype(np.float32)
    spec.decoder.start_from_zero_embedding = recurrent
    for side in (spec.encoder, spec.decoder):
        side.position_encodings.encodings = positions
        if pre_norm:
            norm(side.layer_norm)
        for layer in side.layer:
            linear(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
            linear(layer.self_attention.linear[1], WIDTH, WIDTH)
            norm(layer.self_attention.layer_norm)
            linear(layer.ffn.linear_0, INNER, WIDTH)
            linear(layer.ffn.linear_1, WIDTH, INNER)
            norm(layer.ffn.layer_norm)
    for layer in spec.decoder.layer:
        linear(layer.attention.linear[0], WIDTH, WIDTH)
        linear(layer.attention.linear[1], 2 * WIDTH, WIDTH)
        linear(layer.attention.linear[2], WIDTH, WIDTH)
        norm(layer.attention.layer_norm)
    spec.config.layer_norm_epsilon = 1e-6
    spec.config.decoder_start_token = None if recurrent else START
    spec.config.eos_token = END
    spec.config.unk_token = UNKNOWN
    spec.config.add_attribute("disable_unk", True)
    spec.register_source_vocabulary(TOKENS)
    spec.register_target_vocabulary(TOKENS)
    spec.validate()
    for layer in spec.decoder.layer if recurrent else ():
        recurrence = layer.self_attention
        for name in ("weight", "bias"):
            rows = getattr(recurrence.linear[0], name).numpy()[: 2 * WIDTH]
            setattr(recurrence.linear[0], name, model_spec.NumpyVariable(rows))
        del recurrence.linear[1]
        object.__setattr__(layer, "ssru", recurrence)
        del layer.__dict__["self_attention"]
    spec.optimize(quantization="int8_float32")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    return folder
