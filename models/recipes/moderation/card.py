"""Step 5, card: `python -m models.recipes.moderation.card --data DIR --work DIR --out FOLDER`.

Contract: WORK/figures.json, card.md and the shipped model in; MODEL_CARD.md and model.toml out.
"""

from __future__ import annotations

from pathlib import Path

from models.recipes.classifier.steps import card_command
from models.recipes.moderation.recipe import RECIPE

if __name__ == "__main__":
    card_command(RECIPE, Path(__file__).with_name("card.md"), __doc__ or "")
