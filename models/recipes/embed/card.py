"""Step 3, card: `python -m models.recipes.embed.card --data DIR --work DIR --out FOLDER`.

Contract: WORK/figures.json, card.md and the shipped model in; MODEL_CARD.md and model.toml out.
The sheet of thirty inputs shows the nearest known request to each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from models.recipes.classifier.examples import INPUTS, markdown_cell
from models.recipes.classifier.infer import EngineEncoder
from models.recipes.classifier.report import load_measured, write_card
from models.recipes.embed.section import CONTEXT_TOKENS
from models.recipes.embed.sentences import intents

# Every fifth training request of clinc150: 3,008 requests to an assistant, 150 intents.
STEP = 5


def sheet(encoder: EngineEncoder, data: Path) -> str:
    """The nearest request to each input, as a Markdown table."""
    texts, labels = intents(data, "clinc150", "train")
    texts, labels = texts[::STEP], labels[::STEP]
    similar = encoder.embeddings(INPUTS) @ encoder.embeddings(texts).T
    lines = ["| input | nearest request | its intent | cosine |", "|---|---|---|---:|"]
    for text, row in zip(INPUTS, similar, strict=True):
        place = int(row.argmax())
        lines.append(f"| {markdown_cell(text)} | {markdown_cell(texts[place])} | {labels[place]} | {row[place]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Read the options and write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    measured = load_measured(arguments.work, arguments.out)
    texts = {"sheet": sheet(EngineEncoder(arguments.out, CONTEXT_TOKENS), arguments.data)}
    template = Path(__file__).with_name("card.md").read_text(encoding="utf-8")
    write_card(arguments.out, template, measured, texts)


if __name__ == "__main__":
    main()
