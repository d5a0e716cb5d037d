"""Start from a shipped model: its int8 weights as float32, with more pieces and encoder layers if asked.

A new layer adds nothing at first (the matrices it writes to the residual stream with are zero),
so a deeper network begins exactly as good as the shipped one. A new piece begins as the mean of the
pieces that its text had before. Knows weights and pieces, not training.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import sentencepiece
import torch
from torch import Tensor

from models.recipes.translate.network import Network
from models.recipes.translate.pieces import parts_of
from models.recipes.translate.spec import shipped_weights

_ADDS_TO_RESIDUAL = (".attention.out.weight", ".feed_forward.down.weight")


def load_shipped(folder: Path, work: Path, encoder_layers: int, dropout: float) -> Network:
    """The network of a model folder, at least `encoder_layers` deep, for the tokenizer in `work`.

    Raises:
        SystemExit: the tokenizer in `work` does not begin with the folder's pieces.
    """
    old, new = (sentencepiece.SentencePieceProcessor(str(place / "tokenizer.model")) for place in (folder, work))
    pieces = new.id_to_piece(list(range(new.vocab_size())))
    if pieces[: old.vocab_size()] != old.id_to_piece(list(range(old.vocab_size()))):
        raise SystemExit(f"{work} holds another tokenizer than {folder}: run `tokenizer --extend {folder}` first")
    shape, weights = shipped_weights(folder)
    larger = dataclasses.replace(
        shape, vocabulary=len(pieces), encoder_layers=max(encoder_layers, shape.encoder_layers)
    )
    network = Network(larger, dropout)
    table = weights["embedding.weight"]
    parts = [parts_of(piece, old) for piece in pieces[old.vocab_size() :]]
    weights["embedding.weight"] = torch.cat([table, *(table[ids].mean(0, keepdim=True) for ids in parts)])
    weights |= _layers_that_add_nothing(network, shape.encoder_layers)
    network.load_state_dict(weights)
    return network


def _layers_that_add_nothing(network: Network, first: int) -> dict[str, Tensor]:
    fresh: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if name.startswith("encoder.") and int(name.split(".")[1]) >= first:
            fresh[name] = torch.zeros_like(value) if name.endswith(_ADDS_TO_RESIDUAL) else value
    return fresh
