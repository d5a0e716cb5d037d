"""Step 3: train the decoder; writes `checkpoint.pt` in --work every few minutes.

A time budget (--minutes) drives the schedule: short warmup, constant rate, then linear decay to
zero over the last part. A run that finds a checkpoint goes on from it (--minutes is then the
time still to spend). --init FOLDER starts from the weights of a shipped model instead.
Matrices are updated by Muon (orthogonalised momentum), embeddings and norms by AdamW.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.recipes.assistant.batches import Row, batches, encoded_rows
from models.recipes.assistant.copying import prepare_to_copy
from models.recipes.assistant.loss import weighted_loss
from models.recipes.assistant.network import Decoder, Shape
from models.recipes.assistant.spec import shipped_weights
from models.recipes.common import StopRequest, load_checkpoint, save_checkpoint

_WARMUP_STEPS = 40
_EMA_EVERY_STEPS = 10
_EMA_DECAY = 0.9


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not read here; accepted so that all steps take it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--decay", type=float, default=0.25, help="share of the budget spent on decay")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checkpoint-minutes", type=float, default=5.0)
    parser.add_argument("--init", type=Path, help="model folder to start from")
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    """Trains until the time is spent."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = Shape()
    rows = encoded_rows(options.work, shape.context_tokens)
    model = Decoder(shape)
    if options.init:
        model.load_state_dict(shipped_weights(options.init, shape))
    else:
        prepare_to_copy(model)
    model.to(device)
    optimizers = make_optimizers(model, options.rate)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    path = options.work / "checkpoint.pt"
    step, tokens = 0, 0
    if state := load_checkpoint(path):
        model.load_state_dict(state["model"])
        average = {name: value.to(device) for name, value in state["average"].items()}
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, tokens = state["step"], state["tokens"]
        print(f"resumed at step {step}", flush=True)

    def save() -> None:
        optimizer_states = [optimizer.state_dict() for optimizer in optimizers]
        state = {"shape": dataclasses.asdict(shape), "model": model.state_dict(), "average": average}
        save_checkpoint(path, {**state, "optimizers": optimizer_states, "step": step, "tokens": tokens})

    start = saved_at = logged_at = time.monotonic()
    logged_tokens, losses = tokens, []
    stop = StopRequest()
    for batch in batches(rows, options.batch_tokens, options.seed, skip=step):
        now = time.monotonic()
        spent = (now - start) / (60 * options.minutes)
        if spent >= 1 or stop:
            break
        if now - saved_at > 60 * options.checkpoint_minutes:
            save()
            saved_at = now
        factor = min(1.0, (step + 1) / _WARMUP_STEPS, (1 - spent) / options.decay)
        loss, count = train_step(model, optimizers, batch, options.rate * factor, device)
        step, tokens = step + 1, tokens + count
        losses.append(loss)
        if step % _EMA_EVERY_STEPS == 0:
            update_average(average, model, min(_EMA_DECAY, 1 - 1 / (1 + step / _EMA_EVERY_STEPS)))
        if step % 10 == 0:
            now = time.monotonic()
            print(
                f"step {step} loss {np.mean(losses):.3f} rate x{factor:.2f} tokens {tokens / 1e6:.2f}M "
                f"{(tokens - logged_tokens) / (now - logged_at):.0f} tokens/s {100 * spent:.1f} %",
                flush=True,
            )
            logged_at, logged_tokens, losses = now, tokens, []
    save()


def make_optimizers(model: Decoder, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and not n.startswith("embeddings")]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or n.startswith("embeddings")]
    fused = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"), fused]


def train_step(
    model: Decoder, optimizers: Sequence[torch.optim.Optimizer], batch: Sequence[Row], rate: float, device: str
) -> tuple[float, int]:
    """One update; the mean weighted loss per weight, and the tokens read."""
    ids = torch.from_numpy(np.concatenate([row.ids for row in batch]).astype(np.int64)).to(device)
    weights = np.concatenate([np.append(row.weights[1:], 0) for row in batch]).astype(np.float32)
    scale = torch.from_numpy(weights / weights.sum()).to(device)
    lengths = [len(row.ids) for row in batch]
    with torch.autocast(device, torch.bfloat16):
        hidden = model(ids, lengths)
    loss = weighted_loss(hidden, model.embeddings.weight, ids.roll(-1), scale)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss.item(), len(ids)


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: Decoder, decay: float) -> None:
    """Exponential moving average of the weights."""
    for name, value in model.named_parameters():
        average[name].lerp_(value, 1 - decay)


if __name__ == "__main__":
    main()
