"""The train command that the classifiers share.

Contract: the options of training, and a run of it in a work folder that holds train.jsonl. It
knows nothing of particular data sets or labels.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from models.recipes.classifier.emoji import start_emoji_rows, with_emoji
from models.recipes.classifier.encoder import EncoderShape, SentenceEncoder
from models.recipes.classifier.rows import read_rows
from models.recipes.classifier.tokens import load_tokenizer
from models.recipes.classifier.train import CHECKPOINT, ClassifierRun, Settings, allowed_s, required_checkpoint
from models.recipes.classifier.weights import encoder_from_ctranslate2, encoder_from_huggingface

_OF_SETTINGS = ("epochs", "learning_rate", "consistency", "seed")


def start_from(folder: Path) -> SentenceEncoder:
    """The encoder of a shipped folder, of a Hugging Face folder or of an earlier round's work folder."""
    if (folder / CHECKPOINT).exists():
        return SentenceEncoder(EncoderShape(**required_checkpoint(folder)["shape"]))  # `begin_after` fills it
    if (folder / "model.bin").exists():
        return encoder_from_ctranslate2(folder)
    return encoder_from_huggingface(folder)


def prepared(init: Path, work: Path) -> tuple[SentenceEncoder, Tokenizer]:
    """Encoder and tokenizer to start with; a run that goes on keeps the tokenizer it began with."""
    encoder = start_from(init)
    kept = work / "tokenizer.json"
    if (work / CHECKPOINT).exists():
        return encoder, load_tokenizer(kept)
    tokenizer = base = load_tokenizer(init / "tokenizer.json")
    if isinstance(base.model, WordPiece):
        tokenizer = with_emoji(init / "tokenizer.json")
        start_emoji_rows(encoder, base, tokenizer)
    tokenizer.save(str(kept))
    return encoder, tokenizer


def training_options(parser: argparse.ArgumentParser, defaults: Settings) -> None:
    """The options that every training has."""
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--init", type=Path, required=True, help="what to start from: a model folder, or an earlier round's work folder"
    )
    parser.add_argument("--minutes", type=float, help="stop after this time, all runs of the checkpoint together")
    parser.add_argument("--epochs", type=int, default=defaults.epochs)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--consistency", type=float, default=defaults.consistency, help="weight of R-Drop's term")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the order of rows, noise and dropout")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")


def fit(settings: Settings, arguments: argparse.Namespace) -> None:
    """Train on WORK/train.jsonl as the options say, going on from WORK's checkpoint if there is one."""
    settings = dataclasses.replace(settings, **{name: getattr(arguments, name) for name in _OF_SETTINGS})
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder, tokenizer = prepared(arguments.init, arguments.work)
    run = ClassifierRun(encoder, tokenizer, settings, arguments.work, device)
    if run.resume():
        print(f"going on from epoch {run.progress.epoch}, batch {run.progress.batch}", flush=True)
    elif (arguments.init / CHECKPOINT).exists():
        run.begin_after(arguments.init)
    rows = read_rows(arguments.work / "train.jsonl", settings.labels)
    run.fit(rows, allowed_s(arguments.minutes))


def train_command(settings: Settings, description: str) -> None:
    """Train as the options say."""
    parser = argparse.ArgumentParser(description=description)
    training_options(parser, settings)
    arguments = parser.parse_args()
    fit(settings, arguments)
