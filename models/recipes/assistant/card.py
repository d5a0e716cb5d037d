"""Writes model.toml and MODEL_CARD.md from the figures of convert and evaluate.

This module knows facts and figures and computes none. If evaluate has not run, the card says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.recipes.common import write_manifest

_TEXT = Path(__file__).with_name("card.md")
_AIM = 0.80  # share of exact calls on services seen in training
_CC_BY_SA = "CC BY-SA 4.0"
# The training data of the shipped model.
_SOURCES = (  # name, licence, conversations, origin
    (
        "Schema-Guided Dialogue, train",
        _CC_BY_SA,
        12174,
        "google-research-datasets/dstc8-schema-guided-dialogue @e852981",
    ),
    ("STAR", "MIT", 1967, "RasaHQ/STAR @30589750"),
    ("Taskmaster-4", "CC BY 4.0", 528, "google-research-datasets/Taskmaster @d92cb6a"),
    ("BConTrasT", _CC_BY_SA, 1250, "Unbabel/BConTrasT @96f3305"),
    ("MultiWOZ 2.1, validation, for the tokenizer only", "MIT", 997, "ConvLab/ConvLab-2 @1b884d7"),
    ("databricks-dolly-15k, questions only", "CC BY-SA 3.0", 5245, "nayohan/dolly-15k-analysis @5797d87"),
    ("clinc150, requests only", "CC BY 3.0", 3761, "clinc/oos-eval @828f809"),
    (
        "Bitext customer support, requests only",
        "CDLA-Sharing-1.0",
        3820,
        "bitext/customer-support-intent-detection-training-dataset @e970229",
    ),
    ("chatterbot-corpus", "BSD-3-Clause", 960, "gunthercox/chatterbot-corpus @a01efec"),
    (
        "Tatoeba, German, French and Spanish sentences only",
        "CC BY 2.0 FR",
        2100,
        "tatoeba.org and www.manythings.org/anki",
    ),
    ("answers, greetings, general requests, made-up calls and orders", _CC_BY_SA, 17500, "written for this model"),
)
FACTS = "facts.json"
SOURCES = tuple(dict(zip(("name", "license", "rows", "origin"), row, strict=True)) for row in _SOURCES)


def write_card(folder: Path, work: Path, parameters: int, tokens: int, steps: int) -> None:
    """Note the training's facts in --work, then write card and manifest."""
    facts = {"parameters": parameters, "tokens": tokens, "steps": steps, "created": int(time.time())}
    (work / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    (work / "figures.json").unlink(missing_ok=True)
    refresh_card(folder, work)


def has_facts(work: Path) -> bool:
    """Tells whether the folder belongs to the training that the card describes."""
    return (work / FACTS).exists()


def refresh_card(folder: Path, work: Path) -> None:
    """Card and manifest from facts.json and figures.json."""
    facts = json.loads((work / FACTS).read_text(encoding="utf-8"))
    path = work / "figures.json"
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    (folder / "MODEL_CARD.md").write_text(_card(facts, figures), encoding="utf-8")
    top = {
        "id": "assistant",
        "task": "generation",
        "family": "hearth-assistant",
        "summary": "Small chat model for appointments, bookings and orders, with tool calls; knows no general facts.",
        "license": "CC-BY-SA-4.0",
        "created": facts["created"],
        "context_length_tokens": 1024,
        "quantization": "int8_float32",
        "parameters": facts["parameters"],
    }
    tables: dict[str, Any] = {
        "tokenizer": {"kind": "sentencepiece", "file": "tokenizer.model"},
        "generation": {"template": "chat_template.jinja", "stop_tokens": ["<|end|>"], "bos_token": "<s>"},
        "sources": SOURCES,
    }
    if figures:
        tables["figures"] = [asdict(figure) for figure in _figures(figures["int8"])]
    write_manifest(folder, top, tables)


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    metric: str
    value: float
    rows: int


def _figures(measured: dict[str, Any]) -> Iterator[_Figure]:
    """The quality figures of one model, in the order of the card."""
    for source, entry in measured["perplexity"].items():
        name = "dialogue dev" if source == "all" else source
        yield _Figure(name, "perplexity of the assistant's turns", round(entry["value"], 3), entry["tokens"])
    for key, name in (("calls", "sgd-dev, trained services"), ("calls_new", "sgd-dev, new services")):
        for part, metric in (("exact", "call exact match"), ("name", "call name right"), ("called", "a call made")):
            yield _Figure(name, metric, round(measured[key][part], 3), measured[key]["rows"])
    for key, name, metric in (
        ("scenarios", "scenarios", "whole dialogues"),
        ("played_trained", "sgd-dev, trained services", "whole dialogues, played"),
        ("played_new", "sgd-dev, new services", "whole dialogues, played"),
        ("followed_trained", "sgd-dev, trained services", "whole dialogues, followed"),
        ("followed_new", "sgd-dev, new services", "whole dialogues, followed"),
        ("dates", "made-up requests", "date and time of the call right"),
        ("needless", "sgd-dev", "a call where the dialogue has text"),
        ("fallback", "dolly.dev", "fallback share"),
    ):
        yield _Figure(name, metric, round(measured[key]["share"], 3), measured[key]["rows"])


def _card(facts: dict[str, Any], figures: dict[str, Any]) -> str:
    sources = "\n".join(f"| {s['name']} | {s['origin']} | {s['license']} | {s['rows']:,} |" for s in SOURCES)
    return _TEXT.read_text(encoding="utf-8").format(
        parameters=f"{facts['parameters'] / 1e6:.1f}",
        tokens=f"{facts['tokens'] / 1e6:.1f}",
        steps=f"{facts['steps']:,}",
        sources=sources,
        verdict=_verdict(figures["int8"]["calls"]["exact"]) if figures else "",
        figures=_figure_table(figures) if figures else "Not measured yet: run the evaluate step.",
        sheet=_sheet(figures["sheet"]) if figures else "Not made yet: run the evaluate step.",
    )


def _verdict(exact: float) -> str:
    """A sentence that compares the exact matches of trained services with the aim."""
    met = (
        "which it reaches" if exact >= _AIM else "which it does not reach: check the arguments before you act on a call"
    )
    return f"The aim for trained services is {_AIM:.2f}, {met}."


def _figure_table(figures: dict[str, Any]) -> str:
    names = [name for name in ("int8", "float32") if name in figures]
    columns = [list(_figures(figures[name])) for name in names]
    lines = [
        (f"{row[0].name}: {row[0].metric}", f"{row[0].rows:,}", *(str(figure.value) for figure in row))
        for row in zip(*columns, strict=True)
    ]
    lines.append(("model.bin, MB", "", *(f"{figures[name]['size_bytes'] / 1e6:.1f}" for name in names)))
    lines.append(("tokens a second, one thread", "", *(f"{figures[name]['tokens_per_s']:.0f}" for name in names)))
    head = [("figure", "rows or tokens", *names), ("---", "---:", *["---:"] * len(names))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (*head, *lines))


def _sheet(rows: list[list[Any]]) -> str:
    lines = ["| input | tools | answer |", "|---|---|---|"]
    lines += [f"| {_cell(text)} | {'yes' if tools else ''} | {_cell(answer)} |" for text, tools, answer in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`" if text.strip() else "(blank)"
