"""The mean of several rounds: `python -m models.recipes.classifier.average --rounds A B --work C`.

Contract: reads the checkpoints and the tokenizer of work folders whose runs began at the same weights,
writes their mean as the checkpoint of another, for `convert`, or as the `--init` of a further round.
Rounds from one start lie in one valley, and what is between them often generalises a little better
than each (arXiv 2203.05482). It knows nothing of labels.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.recipes.classifier.train import CHECKPOINT, required_checkpoint
from models.recipes.common import save_checkpoint

COPIED = ("tokenizer.json", "train.jsonl", "dev.jsonl")
PARTS = ("encoder", "head")


def mean_of(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of tensors by name."""
    return {name: torch.stack([state[name].float() for state in states]).mean(dim=0) for name in states[0]}


def average(rounds: Sequence[Path], work: Path) -> None:
    """Write the mean.

    Raises:
        SystemExit: a folder has no checkpoint, or their shapes differ.
    """
    states = [required_checkpoint(folder) for folder in rounds]
    if any(state["shape"] != states[0]["shape"] for state in states):
        raise SystemExit("the rounds have models of different shapes")
    work.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(rounds[-1] / name, work / name)
    mean = {part: mean_of([state[part] for state in states]) for part in PARTS}
    save_checkpoint(work / CHECKPOINT, {"shape": states[0]["shape"], **mean})


def main() -> None:
    """Read the options and average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    average(arguments.rounds, arguments.work)


if __name__ == "__main__":
    main()
