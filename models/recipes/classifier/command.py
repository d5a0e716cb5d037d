"""The train command that the classifiers share.

Contract: the options of training, and a run of it in a work folder that holds train.jsonl. It
knows nothing of particular data sets or labels.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer

from models.recipes.classifier.emoji import start_emoji_rows, with_emoji
from models.recipes.classifier.encoder import SentenceEncoder
from models.recipes.classifier.rows import read_rows
from models.recipes.classifier.tokens import load_tokenizer
from models.recipes.classifier.train import CHECKPOINT, ClassifierRun, Settings, allowed_s
from models.recipes.classifier.weights import encoder_from_ctranslate2, encoder_from_huggingface


def start_from(folder: Path) -> SentenceEncoder:
    """The encoder of a shipped folder or of a Hugging Face folder."""
    if (folder / "model.bin").exists():
        return encoder_from_ctranslate2(folder)
    return encoder_from_huggingface(folder)


def prepared(init: Path, work: Path, after: Path | None = None) -> tuple[SentenceEncoder, Tokenizer]:
    """Encoder and tokenizer to start with; a run that goes on keeps the tokenizer it began with."""
    encoder = start_from(init)
    kept = work / "tokenizer.json"
    if after is not None and not kept.exists():
        shutil.copyfile(after / "tokenizer.json", kept)
    if after is not None or (work / CHECKPOINT).exists():
        return encoder, load_tokenizer(kept)
    base = load_tokenizer(init / "tokenizer.json")
    tokenizer = with_emoji(init / "tokenizer.json")
    start_emoji_rows(encoder, base, tokenizer)
    tokenizer.save(str(kept))
    return encoder, tokenizer


def training_options(parser: argparse.ArgumentParser, epochs: int, learning_rate: float) -> None:
    """The options that every training has."""
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--init", type=Path, required=True, help="a model folder to start from, such as embed")
    parser.add_argument("--minutes", type=float, help="stop after this time, all runs of the checkpoint together")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--after", type=Path, help="the work folder of an earlier round: begin at its last weights")
    parser.add_argument("--seed", type=int, default=Settings.seed, help="of the order of rows, noise and dropout")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")


def fit(settings: Settings, arguments: argparse.Namespace) -> None:
    """Train on WORK/train.jsonl, going on from WORK's checkpoint if there is one."""
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder, tokenizer = prepared(arguments.init, arguments.work, arguments.after)
    run = ClassifierRun(encoder, tokenizer, settings, arguments.work, device)
    if run.resume():
        print(f"going on from epoch {run.progress.epoch}, batch {run.progress.batch}", flush=True)
    elif arguments.after is not None:
        run.begin_after(arguments.after)
    rows = read_rows(arguments.work / "train.jsonl", settings.labels)
    run.fit(rows, allowed_s(arguments.minutes))


def train_command(settings: Settings, description: str) -> None:
    """Train as the options say."""
    parser = argparse.ArgumentParser(description=description)
    training_options(parser, settings.epochs, settings.learning_rate)
    arguments = parser.parse_args()
    chosen = {name: getattr(arguments, name) for name in ("epochs", "learning_rate", "seed")}
    settings = dataclasses.replace(settings, **chosen)
    fit(settings, arguments)
