"""Start from a shipped model: its int8 weights as float32, with more encoder layers if asked.

A new layer adds nothing at first (the matrices it writes to the residual stream with are zero),
so a deeper network begins exactly as good as the shipped one. Knows weights, not training.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from models.recipes.translate.network import Network
from models.recipes.translate.spec import shipped_weights
from models.registry import sha256_of_file

_ADDS_TO_RESIDUAL = (".attention.out.weight", ".feed_forward.down.weight")


def load_shipped(folder: Path, work: Path, encoder_layers: int, dropout: float) -> Network:
    """The network of a model folder, at least `encoder_layers` deep.

    Raises:
        SystemExit: the training rows were made with another tokenizer than the folder's.
    """
    name = "tokenizer.model"
    if sha256_of_file(folder / name) != sha256_of_file(work / name):
        raise SystemExit(f"{work / name} is not the tokenizer of {folder}: run `tokenizer --reuse {folder}` first")
    shape, weights = shipped_weights(folder)
    deeper = dataclasses.replace(shape, encoder_layers=max(encoder_layers, shape.encoder_layers))
    network = Network(deeper, dropout)
    weights |= _layers_that_add_nothing(network, shape.encoder_layers)
    network.load_state_dict(weights)
    return network


def _layers_that_add_nothing(network: Network, first: int) -> dict[str, Tensor]:
    fresh: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if name.startswith("encoder.") and int(name.split(".")[1]) >= first:
            fresh[name] = torch.zeros_like(value) if name.endswith(_ADDS_TO_RESIDUAL) else value
    return fresh
