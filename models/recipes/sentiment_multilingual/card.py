"""Step 7, card: `python -m models.recipes.sentiment_multilingual.card --data DIR --work DIR --out FOLDER`.

Contract: WORK/figures.json, card.md and the shipped model in; MODEL_CARD.md and model.toml out.
"""

from __future__ import annotations

from pathlib import Path

from models.recipes.classifier.examples import markdown_cell
from models.recipes.classifier.infer import EngineClassifier
from models.recipes.classifier.steps import card_command
from models.recipes.sentiment.sentences import written
from models.recipes.sentiment_multilingual.recipe import RECIPE


def errors(classifier: EngineClassifier) -> dict[str, str]:
    """Every written sentence that gets a wrong label, the surest mistake first."""
    rows = written()
    probabilities = classifier.probabilities([text for text, _, _ in rows])
    found = []
    for (text, label, language), row in zip(rows, probabilities, strict=True):
        said = RECIPE.labels[int(row.argmax())]
        if said != label:
            found.append(
                (float(row.max()), f"| {language} | {markdown_cell(text)} | {label} | {said} {row.max():.2f} |")
            )
    lines = ["| | text | is | called |", "|---|---|---|---|", *(line for _, line in sorted(found, reverse=True))]
    return {"errors": "\n".join(lines), "wrong": str(len(found)), "all": str(len(rows))}


if __name__ == "__main__":
    card_command(RECIPE, Path(__file__).with_name("card.md"), __doc__ or "", errors)
