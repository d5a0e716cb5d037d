"""The mean of several rounds: `python -m models.recipes.classifier.average --rounds A B [--weights 1 9] --work C`.

Contract: reads the checkpoints and the tokenizer of work folders whose runs began at the same weights, or those weights
themselves in a shipped folder; writes their mean as the checkpoint of another, for `convert`, or as the `--init` of a
further round. Rounds from one start lie in one valley of the loss, and their mean often generalises a little better
than each (arXiv 2203.05482). It knows nothing of labels.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.recipes.classifier.train import CHECKPOINT, required_checkpoint
from models.recipes.classifier.weights import encoder_from_ctranslate2
from models.recipes.common import save_checkpoint

COPIED = ("tokenizer.json", "train.jsonl", "dev.jsonl")
PARTS = ("encoder", "head")
HEAD = {"dense_weight": "dense.weight", "dense_bias": "dense.bias", "weight": "out.weight", "bias": "out.bias"}


def mean_of(states: Sequence[dict[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of tensors by name."""
    shares = [weight / sum(weights) for weight in weights]
    return {
        name: sum((share * state[name].float() for share, state in zip(shares, states, strict=True)), torch.zeros(()))
        for name in states[0]
    }


def state_of(folder: Path) -> dict[str, Any]:
    """Shape, encoder and head of a round's work folder or of a shipped model.

    Raises:
        SystemExit: the folder is neither.
    """
    if (folder / CHECKPOINT).exists() or not (folder / "model.bin").exists():
        return required_checkpoint(folder)
    encoder = encoder_from_ctranslate2(folder)
    [file] = folder.glob("*.npz")
    with np.load(file, allow_pickle=False) as arrays:
        head = {theirs: torch.from_numpy(arrays[ours]) for ours, theirs in HEAD.items()}
    return {"shape": asdict(encoder.shape), "encoder": encoder.state_dict(), "head": head}


def average(rounds: Sequence[Path], work: Path, weights: Sequence[float] | None = None) -> None:
    """Write the mean.

    Raises:
        SystemExit: a folder has no weights, shapes differ, or the number of shares differs from that of the folders.
    """
    states = [state_of(folder) for folder in rounds]
    if any(state["shape"] != states[0]["shape"] for state in states):
        raise SystemExit("the rounds have models of different shapes")
    weights = weights or [1.0] * len(rounds)
    if len(weights) != len(rounds):
        raise SystemExit(f"there are {len(rounds)} rounds and {len(weights)} weights")
    work.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(rounds[-1] / name, work / name)
    mean = {part: mean_of([state[part] for state in states], weights) for part in PARTS}
    save_checkpoint(work / CHECKPOINT, {"shape": states[0]["shape"], **mean})


def main() -> None:
    """Read the options and average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=Path, nargs="+", required=True, help="the last is a work folder")
    parser.add_argument("--weights", type=float, nargs="+", help="what each counts in the mean; without: all alike")
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    average(arguments.rounds, arguments.work, arguments.weights)


if __name__ == "__main__":
    main()
