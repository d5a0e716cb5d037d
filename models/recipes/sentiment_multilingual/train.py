"""Step 4, train: `python -m models.recipes.sentiment_multilingual.train --work DIR --init WORK/base`.

Contract: reads WORK/train.jsonl, leaves WORK/checkpoint.pt and WORK/tokenizer.json. `--init` is WORK/base to start
afresh, or a shipped model folder, or the work folder of an earlier round.
"""

from __future__ import annotations

from models.recipes.classifier.command import train_command
from models.recipes.classifier.train import Settings
from models.recipes.sentiment.data import LABELS

# The embeddings and the lower third stay fixed: they hold the common knowledge of the four languages, and a step is
# half again as fast.
SETTINGS = Settings(
    labels=LABELS, kind="softmax", epochs=2, learning_rate=1.5e-4, layer_decay=0.9, frozen_layers=4, limit_tokens=64
)

if __name__ == "__main__":
    train_command(SETTINGS, __doc__ or "")
