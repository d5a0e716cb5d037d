"""Labelled rows: text and, for each label, yes, no or not annotated.

Contract: reads and writes `.jsonl` ({"text", "labels": {name: 0 or 1}, "source", "share"}) and `.tsv` (text, label[,
source]), both also as `.xz`. An absent label is not annotated: it becomes NaN in the targets and costs no loss. It
knows nothing of tokenizers or models.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Row:
    """One text and its known labels."""

    text: str
    labels: Mapping[str, float]
    source: str = ""
    share: float = 1.0
    """The chance that an epoch takes the row."""


def read_rows(file: Path, labels: Sequence[str]) -> list[Row]:
    """Rows of a file; a tsv row has its one label set and the others ruled out."""
    with _open_text(file) as lines:
        if _kind(file) == ".jsonl":
            return list(_rows_of_jsonl(lines))
        return list(_rows_of_tsv(lines, labels, file))


def write_rows(file: Path, rows: Iterable[Row]) -> None:
    """Write jsonl through a temporary file, so that a cut-off run leaves no half file."""
    partial = file.with_suffix(file.suffix + ".part")
    with partial.open("w", encoding="utf-8") as out:
        for row in rows:
            record = {"text": row.text, "labels": dict(row.labels), "source": row.source, "share": row.share}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    partial.replace(file)


def label_names(file: Path) -> list[str]:
    """The labels that occur in a file, sorted."""
    if _kind(file) == ".jsonl":
        return sorted({name for row in read_rows(file, ()) for name in row.labels})
    with _open_text(file) as lines:
        return sorted({line.rstrip("\n").split("\t")[1] for line in lines if "\t" in line})


def targets_of(rows: Sequence[Row], labels: Sequence[str]) -> NDArray[np.float32]:
    """(rows, labels) of 0, 1 or NaN for not annotated."""
    return np.array([[row.labels.get(name, np.nan) for name in labels] for row in rows], dtype=np.float32).reshape(
        len(rows), len(labels)
    )


def sampled(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """Rows evenly spread over the list, at most `limit` of them."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, limit)]


def one_label(labels: Sequence[str], label: str) -> dict[str, int]:
    """All labels ruled out but one."""
    return {name: int(name == label) for name in labels}


def _rows_of_jsonl(lines: Iterable[str]) -> Iterator[Row]:
    for line in lines:
        if line.strip():
            record = json.loads(line)
            yield Row(record["text"], record["labels"], record.get("source", ""), record.get("share", 1.0))


def _rows_of_tsv(lines: Iterable[str], labels: Sequence[str], file: Path) -> Iterator[Row]:
    known = set(labels)
    for number, line in enumerate(lines, 1):
        fields = line.rstrip("\n").split("\t")
        if fields == [""]:
            continue
        if len(fields) < 2 or fields[1] not in known:
            raise ValueError(f"{file.name}, line {number}: expected text, tab, one of {sorted(known)}")
        yield Row(fields[0], one_label(labels, fields[1]), fields[2] if len(fields) > 2 else "")


def _kind(file: Path) -> str:
    suffixes = [suffix for suffix in file.suffixes if suffix in (".jsonl", ".tsv")]
    if not suffixes:
        raise ValueError(f"{file.name}: expected .jsonl or .tsv, perhaps with .xz")
    return suffixes[-1]


def _open_text(file: Path) -> IO[str]:
    if file.suffix == ".xz":
        return lzma.open(file, "rt", encoding="utf-8", newline="\n")
    return file.open(encoding="utf-8", newline="\n")
