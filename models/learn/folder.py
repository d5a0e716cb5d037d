"""A fitted head as a model folder: the encoder's files, the head, a manifest and a card.

The folder appears whole or not at all: it is written at a place where no server looks, and then renamed.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.cards import Figure, HeadSpec, Manifest, Source
from models.learn.fit import CannotFit, Fitted
from models.registry import ModelCard, read_card, verify
from models.writing import digests, write_manifest

HEAD = "head.npz"
CARD = "MODEL_CARD.md"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def require_free(models_dir: Path, name: str) -> None:
    """Refuse a name that is malformed or taken.

    Raises:
        CannotFit: says which.
    """
    if not _NAME.fullmatch(name):
        raise CannotFit(f"--name {name!r}: letters, digits, '.', '_' and '-' only, at most 64.")
    if (models_dir / name).exists():
        raise CannotFit(f"{models_dir / name} is there already. Take another name, or remove it first.")


def write_folder(
    models_dir: Path, name: str, encoder: ModelCard, fitted: Fitted, data: str, warnings: Iterable[str] = ()
) -> Path:
    """Write the folder.

    Args:
        models_dir: the folder of all models.
        name: the new model's id.
        encoder: the model whose vectors the head was fitted on.
        fitted: the head.
        data: the name of the file it was fitted on.
        warnings: sentences of the card about single labels.

    Raises:
        CannotFit: another model has taken the name meanwhile.
    """
    made = models_dir / name
    # A server looks for manifests one level down; this is two.
    models_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_dir, prefix=".unfinished-") as beside:
        folder = Path(beside) / name
        folder.mkdir()
        for file in encoder.files:
            if file != CARD:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(encoder.path(file), folder / file)
        np.savez(folder / HEAD, weight=fitted.weight, bias=fitted.bias)
        (folder / CARD).write_text(model_card(name, encoder, fitted, data, warnings), encoding="utf-8")
        write_manifest(folder, _manifest(folder, name, encoder, fitted, data))
        verify(read_card(folder))
        require_free(models_dir, name)
        os.rename(folder, made)
    return made


def model_card(name: str, encoder: ModelCard, fitted: Fitted, data: str, warnings: Iterable[str]) -> str:
    """The card for people."""
    low, high = fitted.interval
    rows = len(fitted.truth)
    return f"""# {name}

A linear head with {len(fitted.labels)} labels on the frozen vectors of `{encoder.id}`, fitted by logistic regression
on {rows} rows of `{data}`. The encoder's own card says what it reads; the head knows no more than the rows.

Every figure is of rows that the head had not seen, nor near copies of them (cross-validation). The interval counts
near copies as one row, of which there are {fitted.groups}.

| figure | value |
|---|---|
| accuracy | {fitted.accuracy:.3f} |
| its 95 % interval | {low:.3f} to {high:.3f} |
| macro-F1 | {fitted.macro_f1:.3f} |
| expected calibration error | {fitted.calibration_error:.3f} |

{confusion_table(fitted)}
{"".join(f"{chr(10)}- {warning}" for warning in warnings)}
"""


def confusion_table(fitted: Fitted, most: int = 12) -> str:
    """The confusion table; with many labels, the pairs that are mixed up most."""
    table = fitted.confusion()
    if len(fitted.labels) <= most:
        head = "| true \\\\ predicted | " + " | ".join(fitted.labels) + " |"
        rows = [
            f"| {label} | " + " | ".join(map(str, row)) + " |" for label, row in zip(fitted.labels, table, strict=True)
        ]
        return "\n".join([head, "|---" * (len(fitted.labels) + 1) + "|", *rows])
    pairs = [(int(table[i, j]), i, j) for i, j in np.argwhere(table) if i != j]
    lines = [
        f"| {fitted.labels[i]} | {fitted.labels[j]} | {count} of {int(table[i].sum())} |"
        for count, i, j in sorted(pairs, key=lambda pair: -pair[0])[:most]
    ]
    return "\n".join(["| true | predicted | rows |", "|---|---|---|", *lines])


def _manifest(folder: Path, name: str, encoder: ModelCard, fitted: Fitted, data: str) -> Manifest:
    rows = len(fitted.truth)
    figures = {"accuracy": fitted.accuracy, "macro-F1": fitted.macro_f1, "ECE": fitted.calibration_error}
    return Manifest(
        id=name,
        task="classification",
        family=encoder.family,
        summary=f"{len(fitted.labels)} labels fitted on {rows} rows of {data}.",
        license="LicenseRef-private",
        created=int(time.time()),
        context_length_tokens=encoder.context_length_tokens,
        quantization=encoder.quantization,
        parameters=encoder.parameters + int(fitted.weight.size + fitted.bias.size),
        tokenizer=encoder.tokenizer,
        heads=(HeadSpec("labels", tuple(fitted.labels), "softmax", "mean", HEAD, temperature=fitted.temperature),),
        sources=(*encoder.sources, Source(data, "LicenseRef-private", "own rows", rows)),
        figures=tuple(Figure("cross-validation", metric, round(value, 4), rows) for metric, value in figures.items()),
        files=digests(folder),
    )
