"""Step 3, convert: `python -m models.recipes.moderation.convert --data DIR --work DIR --out FOLDER`.

Contract: the checkpoint becomes a model folder, with temperature and thresholds from dev.
"""

from __future__ import annotations

from models.recipes.classifier.steps import convert_command
from models.recipes.moderation.recipe import RECIPE

if __name__ == "__main__":
    convert_command(RECIPE, __doc__ or "")
