"""Step 3, train: from encoded rows to a checkpoint, within a budget of minutes.

Goes on from the checkpoint in --work if there is one; SIGTERM saves and ends. The learning rate
warms up, stays, and falls over the last part of the budget. --minutes counts all runs of a
checkpoint together: a longer budget resumes where the constant rate left off. --init starts
from a shipped model instead, with a fresh optimizer. Knows token ids and time, not languages.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import sentencepiece
import torch

from models.recipes.common import StopRequest, TimeBudget, load_checkpoint, save_checkpoint
from models.recipes.translate.batches import Batch, Rows, batches, encode_rows
from models.recipes.translate.loss import backward_cross_entropy
from models.recipes.translate.network import Network, NetworkShape
from models.recipes.translate.optimizer import MuonAdam
from models.recipes.translate.warmstart import load_shipped

WARMUP_STEPS = 100
LAST_RATE = 0.02
LOG_STEPS = 25
CHECKPOINT_S = 180.0


@dataclass(frozen=True, slots=True)
class Progress:
    """The training progress so far; the checkpoint holds it."""

    epoch: int = 0
    batches_in_epoch: int = 0
    tokens: int = 0
    spent_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The share of the learning rate that is used: warmup by steps, decay by the time left."""

    decay_from: float

    def rate(self, step: int, time_fraction: float) -> float:
        """Between 0 and 1."""
        warmup = min(1.0, (step + 1) / WARMUP_STEPS)
        if time_fraction <= self.decay_from:
            return warmup
        left = (1.0 - time_fraction) / (1.0 - self.decay_from)
        return warmup * (LAST_RATE + (1.0 - LAST_RATE) * left)


def encoded_rows(work: Path, tokenizer: sentencepiece.SentencePieceProcessor) -> Rows:
    """The rows of train.tsv as ids; kept in train.npz until the text or the tokenizer is newer."""
    cache, text = work / "train.npz", work / "train.tsv"
    newest = max(text.stat().st_mtime, (work / "tokenizer.model").stat().st_mtime)
    if not cache.exists() or cache.stat().st_mtime < newest:
        encode_rows(text, tokenizer).save(cache)
    return Rows.load(cache)


def train_batch(network: Network, batch: Batch, smoothing: float, device: torch.device) -> float:
    """Leave the gradients of this batch alone in the network; returns the mean entropy of a target token."""
    network.zero_grad(set_to_none=True)
    source = torch.from_numpy(batch.source).to(device)
    target = torch.from_numpy(batch.target).to(device)
    mask = None
    if int(batch.source_lengths.min()) < source.shape[1]:
        lengths = torch.from_numpy(batch.source_lengths).to(device)
        mask = (torch.arange(source.shape[1], device=device) < lengths[:, None])[:, None, None]
    hidden = network(source, target[:, :-1], mask)
    target_lengths = torch.from_numpy(batch.target_lengths).to(device)
    real = torch.arange(hidden.shape[1], device=device) < target_lengths[:, None]
    return backward_cross_entropy(hidden[real], network.embedding.weight, target[:, 1:][real], smoothing)


class Log:
    """One line for every LOG_STEPS steps."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._tokens = 0
        self._since_s = time.monotonic()

    def step(self, number: int, loss: float, tokens: int, rest: str) -> None:
        """Count one step; print when it is time."""
        self._losses.append(loss)
        self._tokens += tokens
        if number % LOG_STEPS == 0:
            now_s = time.monotonic()
            speed = self._tokens / (now_s - self._since_s)
            print(f"step {number} loss {np.mean(self._losses):.3f} {speed:.0f} tokens/s {rest}", flush=True)
            self._losses, self._tokens, self._since_s = [], 0, now_s


class Run:
    """One training run: the state that a checkpoint holds, and the loop."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        found = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = torch.device(found if options.device == "auto" else options.device)
        self._tokenizer = sentencepiece.SentencePieceProcessor(str(options.work / "tokenizer.model"))
        self._rows = encoded_rows(options.work, self._tokenizer)
        self._checkpoint = options.work / "checkpoint.pt"
        saved = load_checkpoint(self._checkpoint)
        if saved:
            network = Network(NetworkShape(**saved["shape"]), options.dropout)
        elif options.init:
            network = load_shipped(options.init, options.work, options.encoder_layers, options.dropout)
        else:
            network = Network(self._new_shape(), options.dropout)
        network = network.to(self._device)
        self._optimizer = MuonAdam(
            network, network.shape.width, learning_rate=options.learning_rate, average_decay=options.average_decay
        )
        if saved:
            self._optimizer.load(saved["optimizer"])
        # Converts the parameters in place, so the optimizer still holds them; it keeps the float32 values.
        self._network = network.bfloat16()
        self._progress = Progress(**saved["progress"]) if saved else Progress()

    def _new_shape(self) -> NetworkShape:
        width = self._options.width
        return NetworkShape(
            vocabulary=self._tokenizer.vocab_size(),
            width=width,
            heads=width // 64,
            feed_forward=4 * width,
            encoder_layers=self._options.encoder_layers,
        )

    def train(self) -> None:
        """Train until the budget is spent or the process is asked to stop; saves in both cases."""
        stop = StopRequest()
        budget = TimeBudget(self._options.minutes * 60.0, self._progress.spent_s)
        schedule, log = Schedule(self._options.decay_from), Log()
        saved_s = time.monotonic()
        while budget.fraction < 1.0 and not stop:
            for batch in self._rest_of_epoch():
                loss = train_batch(self._network, batch, self._options.smoothing, self._device)
                rate = schedule.rate(self._optimizer.step_count, budget.fraction)
                norm = self._optimizer.step(rate)
                tokens = int(batch.source_lengths.sum() + batch.target_lengths.sum())
                self._progress = Progress(
                    self._progress.epoch,
                    self._progress.batches_in_epoch + 1,
                    self._progress.tokens + tokens,
                    budget.spent_s,
                )
                state = f"norm {norm:.2f} rate {rate:.2f} epoch {self._progress.epoch}"
                spent = f"{self._progress.tokens / 1e6:.2f}M tokens {budget.spent_s / 60:.1f} min"
                log.step(self._optimizer.step_count, loss, tokens, f"{state} {spent}")
                if budget.fraction >= 1.0 or stop:
                    break
                if time.monotonic() - saved_s > CHECKPOINT_S:
                    self._save()
                    saved_s = time.monotonic()
            else:
                self._progress = Progress(self._progress.epoch + 1, 0, self._progress.tokens, budget.spent_s)
        self._save()

    def _rest_of_epoch(self) -> Iterator[Batch]:
        rng = np.random.default_rng((self._options.seed, self._progress.epoch))
        bos, eos = self._tokenizer.bos_id(), self._tokenizer.eos_id()
        epoch = batches(self._rows, self._options.batch_tokens, bos, eos, rng)
        return itertools.islice(epoch, self._progress.batches_in_epoch, None)

    def _save(self) -> None:
        save_checkpoint(
            self._checkpoint,
            {
                "shape": self._network.shape.as_dict(),
                "optimizer": self._optimizer.state(),
                "progress": asdict(self._progress),
            },
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not read here; accepted so that all steps take it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="model folder to start from")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--encoder-layers", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=4000, help="of both sides together, with padding")
    parser.add_argument("--learning-rate", type=float, default=6e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--average-decay", type=float, default=0.999)
    parser.add_argument("--decay-from", type=float, default=0.4, help="share of the time budget before the rate falls")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    Run(options).train()


if __name__ == "__main__":
    main()
