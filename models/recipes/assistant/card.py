"""Writes model.toml and MODEL_CARD.md from what convert and evaluate measured.

Knows facts and figures, computes none. Where evaluate has not run, the card says so.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from models.recipes.common import write_manifest

_TEXT = Path(__file__).with_name("card.md")
_CC_BY_SA = "CC BY-SA 4.0"
_SOURCES = (  # name, licence, conversations, origin
    (
        "Schema-Guided Dialogue, train",
        _CC_BY_SA,
        12174,
        "google-research-datasets/dstc8-schema-guided-dialogue @e852981",
    ),
    ("STAR", "MIT", 5475, "RasaHQ/STAR @30589750"),
    ("Taskmaster-4", "CC BY 4.0", 1385, "google-research-datasets/Taskmaster @d92cb6a"),
    ("BConTrasT", _CC_BY_SA, 1250, "Unbabel/BConTrasT @96f3305"),
    ("MultiWOZ 2.1, validation", "MIT", 503, "ConvLab/ConvLab-2 @1b884d7"),
    ("databricks-dolly-15k, questions only", "CC BY-SA 3.0", 5245, "nayohan/dolly-15k-analysis @5797d87"),
    ("clinc150, requests only", "CC BY 3.0", 3691, "clinc/oos-eval @828f809"),
    (
        "Bitext customer support, requests only",
        "CDLA-Sharing-1.0",
        2252,
        "bitext/customer-support-intent-detection-training-dataset @e970229",
    ),
    ("chatterbot-corpus", "BSD-3-Clause", 960, "gunthercox/chatterbot-corpus @a01efec"),
    ("answers to questions and requests, greetings, system prompts", _CC_BY_SA, 800, "written for this model"),
)
SOURCES = tuple(dict(zip(("name", "license", "rows", "origin"), row, strict=True)) for row in _SOURCES)


def write_card(folder: Path, work: Path, parameters: int, tokens: int, steps: int) -> None:
    """Note the training's facts in --work, then write card and manifest."""
    facts = {"parameters": parameters, "tokens": tokens, "steps": steps, "created": int(time.time())}
    (work / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    (work / "figures.json").unlink(missing_ok=True)
    refresh_card(folder, work)


def refresh_card(folder: Path, work: Path) -> None:
    """Card and manifest from facts.json and figures.json."""
    facts = json.loads((work / "facts.json").read_text(encoding="utf-8"))
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
        tables["figures"] = _manifest_figures(figures["int8"])
    write_manifest(folder, top, tables)


def _manifest_figures(int8: dict[str, Any]) -> list[dict[str, Any]]:
    calls, fallback = int8["calls"], int8["fallback"]
    rows = [
        {
            "name": f"dialogue dev, {source}",
            "metric": "perplexity a token of the assistant's turns",
            "value": round(entry["value"], 3),
            "rows": entry["tokens"],
        }
        for source, entry in int8["perplexity"].items()
    ]
    for key, metric in (("exact", "call exact match"), ("name", "call name right"), ("called", "a call made")):
        rows.append(
            {
                "name": "sgd-dev, trained services",
                "metric": metric,
                "value": round(calls[key], 3),
                "rows": calls["rows"],
            }
        )
    rows.append(
        {
            "name": "dolly.dev",
            "metric": "fallback share",
            "value": round(fallback["share"], 3),
            "rows": fallback["rows"],
        }
    )
    return rows


def _card(facts: dict[str, Any], figures: dict[str, Any]) -> str:
    sources = "\n".join(f"| {s['name']} | {s['origin']} | {s['license']} | {s['rows']:,} |" for s in SOURCES)
    return _TEXT.read_text(encoding="utf-8").format(
        parameters=f"{facts['parameters'] / 1e6:.1f}",
        tokens=f"{facts['tokens'] / 1e6:.1f}",
        steps=f"{facts['steps']:,}",
        sources=sources,
        figures=_figure_table(figures) if figures else "Not measured yet: run the evaluate step.",
        sheet=_sheet(figures["sheet"]) if figures else "Not made yet: run the evaluate step.",
    )


def _figure_table(figures: dict[str, Any]) -> str:
    names = [name for name in ("int8", "float32") if name in figures]
    columns = [figures[name] for name in names]
    lines: list[tuple[str, list[str]]] = [
        (
            f"perplexity, {'all dev dialogues' if key == 'all' else key} ({entry['tokens']:,} tokens)",
            [f"{c['perplexity'][key]['value']:.2f}" for c in columns],
        )
        for key, entry in columns[0]["perplexity"].items()
    ]
    rows = columns[0]["calls"]["rows"]
    for key, text in (("exact", "name and arguments exact"), ("name", "name right"), ("called", "a call made")):
        lines.append((f"calls: {text} ({rows:,} calls)", [f"{c['calls'][key]:.3f}" for c in columns]))
    rows = columns[0]["fallback"]["rows"]
    lines.append((f"fallback to general questions ({rows:,})", [f"{c['fallback']['share']:.3f}" for c in columns]))
    lines.append(("model.bin, MB", [f"{c['size_bytes'] / 1e6:.1f}" for c in columns]))
    lines.append(("tokens a second, one thread", [f"{c['tokens_per_s']:.0f}" for c in columns]))
    head = [f"| figure | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    return "\n".join(head + [f"| {label} | {' | '.join(values)} |" for label, values in lines])


def _sheet(rows: list[list[Any]]) -> str:
    lines = ["| input | tools | answer |", "|---|---|---|"]
    lines += [f"| {_cell(text)} | {'yes' if tools else ''} | {_cell(answer)} |" for text, tools, answer in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`" if text.strip() else "(blank)"
