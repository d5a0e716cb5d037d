"""Measured figures on file, and the manifest and card made of them.

Contract: `evaluate` writes WORK/figures.json with the checksum of the model it measured; `card` refuses figures of
another model, fills the recipe's `card.md` and writes MODEL_CARD.md and the figures of model.toml. Every number of a
card comes from here or from the template's text. It knows nothing of the meaning of figures.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template

from models.recipes.common import write_manifest
from models.registry import sha256_of_file

FIGURES_FILE = "figures.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """One quality of the shipped model and, where compared, of the float32 one."""

    name: str
    metric: str
    value: float
    rows: int
    float32: float | None = None

    def line(self) -> str:
        """As printed on a terminal."""
        compared = "" if self.float32 is None else f", float32 {self.float32:.4f}"
        return f"{self.name}: {self.metric} {self.value:.4f}{compared} ({self.rows} rows)"


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of `evaluate`.

    `comparison` has the same figures on few rows, with float32 beside them; `notes` are further numbers that the
    card's text names.
    """

    figures: list[Figure]
    comparison: list[Figure] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)


def compared(shipped: Sequence[Figure], plain: Sequence[Figure]) -> list[Figure]:
    """The shipped model's figures with the float32 values beside them."""
    return [
        Figure(ours.name, ours.metric, ours.value, ours.rows, theirs.value)
        for ours, theirs in zip(shipped, plain, strict=True)
    ]


def save_measured(work: Path, folder: Path, measured: Measured) -> None:
    """Write the figures with the checksum of their weights."""
    record = {"model": sha256_of_file(folder / "model.bin"), **asdict(measured)}
    (work / FIGURES_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def load_measured(work: Path, folder: Path) -> Measured:
    """The figures of the folder's model.

    Raises:
        SystemExit: the figures belong to another model.
    """
    record = json.loads((work / FIGURES_FILE).read_text(encoding="utf-8"))
    if record["model"] != sha256_of_file(folder / "model.bin"):
        raise SystemExit(f"{FIGURES_FILE} is of another model: run evaluate on this one first")
    figures, comparison = ([Figure(**figure) for figure in record[name]] for name in ("figures", "comparison"))
    return Measured(figures, comparison, record["notes"])


def figures_table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table, with a column for float32 if any has it."""
    both = any(figure.float32 is not None for figure in figures)
    head, rule = ("int8 | float32", "---:|---:") if both else ("int8", "---:")
    lines = [f"| test | metric | {head} | rows |", f"|---|---|{rule}|---:|"]
    for figure in figures:
        values = f"{figure.value:.4f}"
        if both:
            values += " | " + ("" if figure.float32 is None else f"{figure.float32:.4f}")
        lines.append(f"| {figure.name} | {figure.metric} | {values} | {figure.rows:,} |")
    return "\n".join(lines)


def write_card(folder: Path, template: str, measured: Measured, texts: Mapping[str, str]) -> None:
    """Fill the template and write MODEL_CARD.md, then the manifest anew: with figures and checksums."""
    numbers = {name: f"{value:.4g}" for name, value in measured.notes.items()}
    table = {"figures": figures_table(measured.figures), "comparison": figures_table(measured.comparison)}
    filled = Template(template).substitute({**numbers, **texts, **table})
    (folder / "MODEL_CARD.md").write_text(filled, encoding="utf-8")
    figures = [
        {"name": figure.name, "metric": figure.metric, "value": figure.value, "rows": figure.rows}
        for figure in measured.figures
    ]
    manifest = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    del manifest["files"]
    tables = {name: value for name, value in manifest.items() if _is_table(value)}
    top = {name: value for name, value in manifest.items() if name not in tables}
    write_manifest(folder, top, {**tables, "figures": figures})


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))
