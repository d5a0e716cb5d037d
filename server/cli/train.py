"""``hearth train classifier``: labels of one's own on the vectors of a served encoder, in less than a minute."""

import sys
import time
from pathlib import Path

from tqdm import tqdm

from models.learn.fit import CannotFit, fit, require_library
from models.learn.folder import confusion_table, require_free, write_folder
from models.learn.near import near_copies
from models.learn.report import figures, label_warnings, report
from models.learn.vectors import Vectors
from models.registry import ManifestError, ModelCard, find_models
from server.batching.cores import usable_cores
from server.cli.bulk import FileProblem, read
from server.settings import SHIPPED_MODELS, Settings

SHOWN = 5
"""The number of unusable lines that are named one by one."""


def classifier(data: Path, name: str, text_column: str, label_column: str, settings: Settings, encoder: str) -> int:
    """Fit a head, say how good it is, and write its model folder."""
    began_s = time.perf_counter()
    try:
        folder = settings.models_dir
        require_free(folder, name)
        require_library()
        card = _encoder(settings, encoder)
        texts, labels = _rows(data, text_column, label_column)
        vectors = Vectors(card, settings.cores or usable_cores())
        rows = vectors.rows(texts)
        known = [i for i, row in enumerate(rows) if row is not None]
        if len(known) < len(rows):
            limit = card.context_length_tokens
            print(f"{len(rows) - len(known)} texts have more than {limit} tokens and are left out.", file=sys.stderr)
        with tqdm(total=len(known), unit="row", desc="reading", disable=not sys.stderr.isatty()) as bar:
            encoded = vectors.encode([row for row in rows if row is not None], bar.update)
        texts, labels = [texts[i] for i in known], [labels[i] for i in known]
        groups = near_copies(texts)
        fitted = fit(encoded, labels, groups)
        made = write_folder(folder, name, card, fitted, data.name, label_warnings(fitted, groups))
    except (CannotFit, FileProblem, ManifestError) as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    print(confusion_table(fitted), "", figures(fitted), *report(texts, labels, groups, fitted), sep="\n")
    print(f"{made} written after {time.perf_counter() - began_s:.0f} s; a running server serves it when it is asked:")
    print(f"  hearth classify --model {name} {texts[0][:60]!r}")
    return 0


def _encoder(settings: Settings, name: str) -> ModelCard:
    cards = {card.id: card for card in find_models(*settings.model_folders, SHIPPED_MODELS)}
    card = cards.get(name)
    if card is None or card.embedding is None or card.embedding.pooling != "mean":
        known = sorted(card.id for card in cards.values() if card.embedding is not None)
        raise CannotFit(f"--encoder {name}: there is no such embedding model; there are: {', '.join(known) or 'none'}.")
    return card


def _rows(data: Path, text_column: str, label_column: str) -> tuple[list[str], list[str]]:
    """The texts and labels; lines without either are named and left out."""
    if not data.is_file():
        raise FileProblem(f"{data}: there is no such file.")
    if data.suffix.lower() == ".txt":
        raise FileProblem(f"{data}: a .txt has no labels; give a .csv or .jsonl.")
    texts, labels, bad = [], [], []
    for line in read(data, text_column):
        label = line.record.get(label_column)
        if line.problem:
            bad.append(f"line {line.number}: {line.problem}")
        elif not isinstance(label, str | int) or not str(label).strip():
            bad.append(f"line {line.number}: '{label_column}' is missing or empty")
        else:
            texts.append(line.text)
            labels.append(str(label).strip())
    for problem in bad[:SHOWN]:
        print(f"{data}, {problem}; left out.", file=sys.stderr)
    if len(bad) > SHOWN:
        print(f"{data}: {len(bad) - SHOWN} more lines left out.", file=sys.stderr)
    if not texts:
        raise CannotFit(f"{data} has no line with both '{text_column}' and '{label_column}'.")
    return texts, labels
