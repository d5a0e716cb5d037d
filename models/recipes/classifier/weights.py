"""Encoder weights between files and the torch encoder.

Contract: reads the Hugging Face layout (safetensors) or a shipped CTranslate2 folder (int8 is
dequantised) into a SentenceEncoder, and writes a SentenceEncoder as a CTranslate2 folder.
It knows nothing of heads, tokenizer files or manifests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.converters.converter import Converter
from ctranslate2.specs import common_spec, model_spec, transformer_spec
from numpy.typing import NDArray

from models.recipes.classifier.encoder import EncoderShape, SentenceEncoder
from models.recipes.ctranslate2_file import read_ctranslate2_weights

Arrays = Mapping[str, NDArray[Any]]

_TOP = {
    "words.weight": "embeddings_0/weight",
    "segments.weight": "embeddings_1/weight",
    "positions.weight": "position_encodings/encodings",
    "embedding_norm.weight": "layernorm_embedding/gamma",
    "embedding_norm.bias": "layernorm_embedding/beta",
}
_LAYER = {
    "qkv.weight": "self_attention/linear_0/weight",
    "qkv.bias": "self_attention/linear_0/bias",
    "out.weight": "self_attention/linear_1/weight",
    "out.bias": "self_attention/linear_1/bias",
    "attention_norm.weight": "self_attention/layer_norm/gamma",
    "attention_norm.bias": "self_attention/layer_norm/beta",
    "up.weight": "ffn/linear_0/weight",
    "up.bias": "ffn/linear_0/bias",
    "down.weight": "ffn/linear_1/weight",
    "down.bias": "ffn/linear_1/bias",
    "feed_forward_norm.weight": "ffn/layer_norm/gamma",
    "feed_forward_norm.bias": "ffn/layer_norm/beta",
}


def variable_names(layers: int) -> dict[str, str]:
    """Torch parameter name to CTranslate2 variable name (without the leading `encoder/`)."""
    names = dict(_TOP)
    for layer in range(layers):
        for ours, theirs in _LAYER.items():
            names[f"layers.{layer}.{ours}"] = f"layer_{layer}/{theirs}"
    return names


def encoder_from_ctranslate2(folder: Path, dropout: float = 0.1) -> SentenceEncoder:
    """A torch encoder with the weights of a shipped model folder."""
    arrays = {
        name.removeprefix("encoder/"): array for name, array in read_ctranslate2_weights(folder / "model.bin").items()
    }
    rows, width = arrays["embeddings_0/weight"].shape
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = EncoderShape(
        vocabulary_rows=rows,
        positions=arrays["position_encodings/encodings"].shape[0],
        width=width,
        feed_forward_width=arrays["layer_0/ffn/linear_0/weight"].shape[0],
        layers=sum(name.endswith("/ffn/linear_0/weight") for name in arrays),
        attention_heads=int(arrays["num_heads"]),
        norm_epsilon=float(config["layer_norm_epsilon"]),
    )
    names = variable_names(shape.layers)
    return _filled(shape, dropout, {ours: arrays[theirs] for ours, theirs in names.items()})


def encoder_from_huggingface(folder: Path, dropout: float = 0.1) -> SentenceEncoder:
    """A torch encoder with the weights of a Hugging Face BertModel folder."""
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    arrays = {name.removeprefix("bert."): array for name, array in load_file(folder / "model.safetensors").items()}
    shape = EncoderShape(
        vocabulary_rows=config["vocab_size"],
        positions=config["max_position_embeddings"],
        width=config["hidden_size"],
        feed_forward_width=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        attention_heads=config["num_attention_heads"],
        norm_epsilon=config["layer_norm_eps"],
    )
    return _filled(shape, dropout, _renamed_huggingface(arrays, shape.layers))


def _renamed_huggingface(arrays: Arrays, layers: int) -> dict[str, NDArray[Any]]:
    renamed = {
        "words.weight": arrays["embeddings.word_embeddings.weight"],
        "segments.weight": arrays["embeddings.token_type_embeddings.weight"],
        "positions.weight": arrays["embeddings.position_embeddings.weight"],
        "embedding_norm.weight": arrays["embeddings.LayerNorm.weight"],
        "embedding_norm.bias": arrays["embeddings.LayerNorm.bias"],
    }
    parts = {
        "out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "feed_forward_norm": "output.LayerNorm",
    }
    for layer in range(layers):
        theirs = f"encoder.layer.{layer}"
        for kind in ("weight", "bias"):
            split = [arrays[f"{theirs}.attention.self.{n}.{kind}"] for n in ("query", "key", "value")]
            renamed[f"layers.{layer}.qkv.{kind}"] = np.concatenate(split)
            for ours, name in parts.items():
                renamed[f"layers.{layer}.{ours}.{kind}"] = arrays[f"{theirs}.{name}.{kind}"]
    return renamed


def _filled(shape: EncoderShape, dropout: float, arrays: Arrays) -> SentenceEncoder:
    encoder = SentenceEncoder(shape, dropout)
    state = {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in arrays.items()}
    encoder.load_state_dict(state, strict=True)
    return encoder


class _EncoderConverter(Converter):  # type: ignore[misc]  # CTranslate2 has no type hints
    """CTranslate2's converter for an encoder that is already in memory."""

    def __init__(self, encoder: SentenceEncoder, vocabulary: Sequence[str]) -> None:
        self._encoder = encoder
        self._vocabulary = list(vocabulary)

    def _load(self) -> model_spec.ModelSpec:
        shape = self._encoder.shape
        body = transformer_spec.TransformerEncoderSpec(
            shape.layers,
            shape.attention_heads,
            pre_norm=False,
            activation=common_spec.Activation.GELU,
            layernorm_embedding=True,
            num_source_embeddings=2,
            embeddings_merge=common_spec.EmbeddingsMerge.ADD,
        )
        body.scale_embeddings = False
        spec = transformer_spec.TransformerEncoderModelSpec(body, pooling_layer=False)
        state = self._encoder.state_dict()
        for ours, theirs in variable_names(shape.layers).items():
            # A copy: quantising multiplies the array in place, and it would be the network's own memory.
            _set_variable(body, theirs, state[ours].detach().float().numpy().copy())
        spec.register_vocabulary(self._vocabulary)
        spec.config.unk_token = next(token for token in ("[UNK]", "<unk>") if token in self._vocabulary)
        spec.config.layer_norm_epsilon = shape.norm_epsilon
        return spec


def _set_variable(spec: Any, path: str, value: NDArray[Any]) -> None:
    """Follow `layer_0/ffn/linear_0/weight`; numbered lists of a spec are called name_index."""
    *parents, leaf = path.split("/")
    for part in parents:
        name, _, index = part.rpartition("_")
        listed = getattr(spec, name, None) if index.isdigit() else None
        spec = listed[int(index)] if isinstance(listed, list) else getattr(spec, part)
    setattr(spec, leaf, value)


def write_ctranslate2(encoder: SentenceEncoder, vocabulary: Sequence[str], folder: Path, quantization: str) -> None:
    """Write model.bin, config.json and vocabulary.json; `float32` or `int8_float32`."""
    converter = _EncoderConverter(encoder, vocabulary)
    converter.convert(str(folder), quantization=None if quantization == "float32" else quantization, force=True)
