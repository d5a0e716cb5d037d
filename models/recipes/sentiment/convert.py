"""Step 3, convert: `python -m models.recipes.sentiment.convert --data DIR --work DIR --out FOLDER`.

Contract: the checkpoint becomes a model folder, calibrated on the dev set.
"""

from __future__ import annotations

from models.recipes.classifier.steps import convert_command
from models.recipes.sentiment.recipe import RECIPE

if __name__ == "__main__":
    convert_command(RECIPE, __doc__ or "")
