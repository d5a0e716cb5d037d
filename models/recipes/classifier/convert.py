"""A checkpoint as a model folder.

Contract: reads WORK/checkpoint.pt and WORK/tokenizer.json; checks that a float32 conversion
gives what torch gives; writes int8 weights, tokenizer, head and a manifest without figures, and
the float32 conversion under WORK/float32, which `evaluate` compares with.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.recipes.classifier.encoder import EncoderShape, SentenceEncoder
from models.recipes.classifier.heads import Head
from models.recipes.classifier.numpy_head import probabilities_of
from models.recipes.classifier.recipe import Calibration, Recipe
from models.recipes.classifier.reference import torch_pooled
from models.recipes.classifier.rows import Row, read_rows
from models.recipes.classifier.tokens import encode_rows, load_tokenizer, vocabulary_in_order
from models.recipes.classifier.train import required_checkpoint
from models.recipes.classifier.weights import write_ctranslate2
from models.recipes.common import Table, write_manifest

# A larger difference of the float32 conversion means a mistake, not rounding.
LARGEST_DIFFERENCE = 1e-4
CHECKED_TEXTS = 200
QUANTIZATION = "int8_float32"
FLOAT32_FOLDER = "float32"


@dataclass(frozen=True, slots=True)
class Trained:
    """An encoder and its head after training."""

    encoder: SentenceEncoder
    head: Head

    def parameters(self) -> int:
        """The number of parameters."""
        return sum(p.numel() for part in (self.encoder, self.head) for p in part.parameters())


def read_trained(work: Path, labels: int) -> Trained:
    """The model of a work folder's checkpoint."""
    state = required_checkpoint(work)
    encoder = SentenceEncoder(EncoderShape(**state["shape"]) if "shape" in state else EncoderShape())
    encoder.load_state_dict(state["encoder"])
    head = Head(encoder.shape.width, labels)
    head.load_state_dict(state["head"])
    return Trained(encoder.eval(), head.eval())


def write_folder(trained: Trained, work: Path, folder: Path, head: str, quantization: str) -> None:
    """Weights, tokenizer and head; no manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(work / "tokenizer.json")
    write_ctranslate2(trained.encoder, vocabulary_in_order(tokenizer), folder, quantization)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    trained.head.save(folder / f"{head}.npz")


def conversion_difference(recipe: Recipe, trained: Trained, work: Path, texts: list[str]) -> float:
    """The largest difference of a probability between torch and the float32 conversion."""
    converted = recipe.classifier(work / FLOAT32_FOLDER, 1.0).probabilities(texts)
    ids = encode_rows(load_tokenizer(work / "tokenizer.json"), texts, recipe.context_tokens)
    with torch.inference_mode():
        logits = trained.head(torch.from_numpy(torch_pooled(trained.encoder, ids))).numpy()
    return float(np.abs(probabilities_of(logits, recipe.kind, 1.0) - converted).max())


def convert(recipe: Recipe, data: Path, work: Path, out: Path) -> None:
    """Write both folders.

    Raises:
        SystemExit: the conversion differs from torch by more than rounding.
    """
    trained = read_trained(work, len(recipe.labels))
    training = read_rows(work / "train.jsonl", recipe.labels)
    write_folder(trained, work, work / FLOAT32_FOLDER, recipe.head, "float32")
    texts = [row.text for row in read_rows(work / "dev.jsonl", recipe.labels)][:CHECKED_TEXTS]
    difference = conversion_difference(recipe, trained, work, texts)
    if difference > LARGEST_DIFFERENCE:
        raise SystemExit(f"the converted model differs from torch by {difference:.1e}: nothing was written")
    print(f"float32 conversion and torch differ by at most {difference:.1e}", flush=True)
    write_folder(trained, work, out, recipe.head, QUANTIZATION)
    calibration = recipe.calibrate(recipe.classifier(out, 1.0), data)
    print(f"temperature {calibration.temperature:.3f}, thresholds {dict(calibration.thresholds)}", flush=True)
    write_recipe_manifest(recipe, out, calibration, training, trained.parameters())


def write_recipe_manifest(
    recipe: Recipe, out: Path, calibration: Calibration, training: list[Row], parameters: int
) -> None:
    """Write model.toml, without figures."""
    top: Table = {
        "id": recipe.id,
        "task": "classification",
        "family": recipe.family,
        "summary": recipe.summary,
        "license": recipe.license,
        "created": recipe.created_s,
        "context_length_tokens": recipe.context_tokens,
        "quantization": QUANTIZATION,
        "parameters": parameters,
    }
    head: dict[str, object] = {
        "name": recipe.head,
        "labels": list(recipe.labels),
        "kind": recipe.kind,
        "pooling": "mean",
        "file": f"{recipe.head}.npz",
        "temperature": round(calibration.temperature, 3),
    }
    if recipe.languages:
        head["languages"] = list(recipe.languages)
    if recipe.kind == "sigmoid":
        head["thresholds"] = {name: round(value, 3) for name, value in calibration.thresholds.items()}
        head["experimental"] = list(recipe.experimental)
    # A row's source may end in a remark such as "(as neutral)", which states its use, not its origin.
    rows = Counter(row.source.partition(" (")[0] for row in training)
    sources: list[Table] = [
        {
            "name": name,
            "license": terms.license,
            "origin": terms.origin,
            "rows": rows[name] if terms.rows is None else terms.rows,
        }
        for name, terms in recipe.sources.items()
    ]
    tables: dict[str, Table | list[Table]] = {
        "tokenizer": {"kind": "huggingface", "file": "tokenizer.json"},
        "heads": [head],
        "sources": sources,
    }
    write_manifest(out, top, tables)
