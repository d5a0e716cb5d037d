"""Step 5, convert: `python -m models.recipes.sentiment_multilingual.convert --data DIR --work DIR --out FOLDER`.

Contract: the checkpoint becomes a model folder, calibrated on the English dev set.
"""

from __future__ import annotations

from models.recipes.classifier.steps import convert_command
from models.recipes.sentiment_multilingual.recipe import RECIPE

if __name__ == "__main__":
    convert_command(RECIPE, __doc__ or "")
