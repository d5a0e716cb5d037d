"""Fine-tune an encoder and one head on labelled rows.

Contract: rows, a start folder and settings in; checkpoints in the work folder out, the last of which `convert` reads. A
stopped run resumes from its checkpoint. The result depends on the seed, the settings and, if the time budget ends the
run, on the machine. It knows nothing of particular data sets.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.recipes.classifier.batches import equal_length_batches
from models.recipes.classifier.encoder import SentenceEncoder
from models.recipes.classifier.heads import Head, divergence_rows, loss_rows
from models.recipes.classifier.noise import noisy
from models.recipes.classifier.numpy_head import Kind
from models.recipes.classifier.rows import Row, targets_of
from models.recipes.classifier.tokens import encode_rows
from models.recipes.common import StopRequest, TimeBudget, load_checkpoint, save_checkpoint

CHECKPOINT = "checkpoint.pt"
REPORT_BATCHES = 100


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train; the defaults suit tens of thousands of short rows."""

    labels: tuple[str, ...]
    kind: Kind
    epochs: int = 3
    batch_rows: int = 64
    batch_tokens: int = 3072
    limit_tokens: int = 256
    learning_rate: float = 1e-4
    layer_decay: float = 0.85
    frozen_layers: int | None = None
    """The number of lower layers that stay fixed, with the embeddings; None: all weights learn."""
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    smoothing: float = 0.05
    consistency: float = 0.0
    """Weight of the divergence between two passes with different dropout (R-Drop, arXiv 2106.14448); 0: one pass."""
    noise_share: float = 0.15
    checkpoint_s: float = 180.0
    seed: int = 7


def required_checkpoint(work: Path) -> dict[str, Any]:
    """The state in a work folder.

    Raises:
        SystemExit: the folder has no checkpoint.
    """
    state = load_checkpoint(work / CHECKPOINT)
    if state is None:
        raise SystemExit(f"no {CHECKPOINT} in {work}: run the train step there first")
    return state


@dataclass(slots=True)
class Progress:
    """The state in a checkpoint besides the tensors."""

    epoch: int = 0
    batch: int = 0
    elapsed_s: float = 0.0


class ClassifierRun:
    """One training run: the model, its optimizer and its progress."""

    def __init__(
        self,
        encoder: SentenceEncoder,
        tokenizer: Tokenizer,
        settings: Settings,
        work: Path,
        device: str,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.tokenizer = tokenizer
        self.work = work
        self.device = torch.device(device)
        self.encoder = encoder.to(self.device)
        self.head = Head(encoder.shape.width, len(settings.labels)).to(self.device)
        _freeze(self.encoder, settings.frozen_layers)
        self.optimizer = torch.optim.AdamW(_parameter_groups(self.encoder, self.head, settings), fused=True)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.progress = Progress()

    def fit(self, rows: Sequence[Row], allowed_s: float) -> None:
        """Train until the epochs or the time are used up; the learning rate falls to 0 with both."""
        settings = self.settings
        targets = torch.from_numpy(targets_of(rows, settings.labels))
        budget = TimeBudget(allowed_s, self.progress.elapsed_s)
        stop = StopRequest()
        while self.progress.epoch < settings.epochs:
            taken, ids, batches = self._epoch_plan(rows)
            saved_s = time.monotonic()
            report = _Report()
            while self.progress.batch < len(batches):
                done = (self.progress.epoch + self.progress.batch / len(batches)) / settings.epochs
                done = max(done, budget.fraction)
                if done >= 1.0 or stop:
                    self.save()
                    return
                self._set_rates(done)
                batch = batches[self.progress.batch]
                batch_ids = torch.tensor([ids[index] for index in batch])
                report.add(self._step(batch_ids, targets[[taken[index] for index in batch]]), batch_ids.numel())
                self.progress.batch += 1
                self.progress.elapsed_s = budget.spent_s
                if self.progress.batch % REPORT_BATCHES == 0:
                    place = f"epoch {self.progress.epoch} batch {self.progress.batch}/{len(batches)}"
                    print(f"{place} {report.text()} done {done:.3f}", flush=True)
                    report = _Report()
                if time.monotonic() - saved_s > settings.checkpoint_s:
                    self.save()
                    saved_s = time.monotonic()
            self.progress.epoch += 1
            self.progress.batch = 0
        self.save()

    def _epoch_plan(self, rows: Sequence[Row]) -> tuple[list[int], list[list[int]], list[list[int]]]:
        """The rows that the epoch takes, their ids with fresh noise, and the batches; the same after a restart."""
        settings = self.settings
        rng = random.Random(f"{settings.seed} {self.progress.epoch}")
        taken = [index for index, row in enumerate(rows) if rng.random() < row.share]
        texts = [noisy(rows[index].text, rng, settings.noise_share) for index in taken]
        ids = encode_rows(self.tokenizer, texts, settings.limit_tokens)
        lengths = [len(row) for row in ids]
        batches = equal_length_batches(lengths, settings.batch_rows, settings.batch_tokens, rng)
        return taken, ids, batches

    def _set_rates(self, done: float) -> None:
        warmup = self.settings.warmup_share
        factor = done / warmup if done < warmup else (1.0 - done) / (1.0 - warmup)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * max(factor, 0.01)

    def _step(self, ids: Tensor, targets: Tensor) -> float:
        self.encoder.train()
        self.head.train()
        rows = len(ids)
        if self.settings.consistency:
            ids, targets = ids.repeat(2, 1), targets.repeat(2, 1)
        ids, targets = ids.to(self.device), targets.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            pooled = self.encoder(ids).mean(dim=1)
        logits = self.head(pooled.float())
        each = loss_rows(logits, targets, self.settings.kind, self.settings.smoothing)
        if self.settings.consistency:
            apart = divergence_rows(logits[:rows], logits[rows:], targets[:rows], self.settings.kind)
            each = (each[:rows] + each[rows:]) / 2.0 + self.settings.consistency * apart
        # Not the mean: a small batch of a rare length must not count like a full one.
        full_rows = min(self.settings.batch_rows, self.settings.batch_tokens // ids.shape[1])
        (each.sum() / full_rows).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*self.encoder.parameters(), *self.head.parameters()], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(each.detach().mean())

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "shape": asdict(self.encoder.shape),
            "encoder": self.encoder.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": [self.progress.epoch, self.progress.batch, self.progress.elapsed_s],
            "dropout": self._random_state(),
        }
        save_checkpoint(self.work / CHECKPOINT, state)

    def resume(self) -> bool:
        """Go on from the checkpoint of the work folder, if there is one.

        Raises:
            SystemExit: the checkpoint holds only weights, like a mean of rounds.
        """
        if not (self.work / CHECKPOINT).exists():
            return False
        state = required_checkpoint(self.work)
        if not {"optimizer", "progress", "dropout"} <= state.keys():
            raise SystemExit(
                f"{self.work} has weights and no run that could go on: train in another folder with --init {self.work}"
            )
        self._load_weights(state)
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(*state["progress"])
        self._set_random_state(state["dropout"])
        return True

    def begin_after(self, work: Path) -> None:
        """Begin at the weights of another work folder, with a fresh optimizer.

        Raises:
            SystemExit: the folder has no weights, or its head has another number of labels.
        """
        state = required_checkpoint(work)
        labels = len(state["head"]["out.bias"])
        if labels != len(self.settings.labels):
            raise SystemExit(f"the round in {work} has {labels} labels, this one {len(self.settings.labels)}")
        self._load_weights(state)

    def _load_weights(self, state: dict[str, Any]) -> None:
        self.encoder.load_state_dict(state["encoder"])
        self.head.load_state_dict(state["head"])

    def _random_state(self) -> Tensor:
        return torch.cuda.get_rng_state() if self.device.type == "cuda" else torch.get_rng_state()

    def _set_random_state(self, state: Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state.cpu())
        else:
            torch.set_rng_state(state.cpu())


@dataclass(slots=True)
class _Report:
    """The line printed every so many batches."""

    loss: float = 0.0
    tokens: int = 0
    batches: int = 0
    started_s: float = field(default_factory=time.monotonic)

    def add(self, loss: float, tokens: int) -> None:
        self.loss += loss
        self.tokens += tokens
        self.batches += 1

    def text(self) -> str:
        rate = self.tokens / (time.monotonic() - self.started_s)
        return f"loss {self.loss / self.batches:.4f} tokens/s {rate:.0f}"


def _freeze(encoder: SentenceEncoder, layers: int | None) -> None:
    """Fix the embeddings and this number of lower layers."""
    if layers is None:
        return
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad = name.startswith("layers.") and int(name.split(".")[1]) >= layers


def _parameter_groups(encoder: SentenceEncoder, head: Head, settings: Settings) -> list[dict[str, object]]:
    """A lower rate for lower layers, since their knowledge of the language should change least."""
    depth = encoder.shape.layers
    rates: dict[str, float] = {}
    for name, _ in encoder.named_parameters():
        level = int(name.split(".")[1]) + 1 if name.startswith("layers.") else 0
        rates[name] = settings.learning_rate * settings.layer_decay ** (depth - level)
    groups: list[dict[str, object]] = [
        {
            "params": [parameter],
            "lr": rates[name],
            "weight_decay": settings.weight_decay if parameter.ndim > 1 else 0.0,
        }
        for name, parameter in encoder.named_parameters()
        if parameter.requires_grad
    ]
    groups.append({"params": list(head.parameters()), "lr": settings.learning_rate * 5, "weight_decay": 0.0})
    return groups


def allowed_s(minutes: float | None) -> float:
    """The time for `--minutes`; none means no limit."""
    return math.inf if minutes is None else minutes * 60.0
