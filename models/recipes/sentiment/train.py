"""Step 2, train: `python -m models.recipes.sentiment.train --work DIR --init FOLDER`.

Contract: reads WORK/train.jsonl, leaves WORK/checkpoint.pt and WORK/tokenizer.json. `--init` is
a shipped model folder (embed to start afresh, sentiment to go on from what ships) or a Hugging
Face BertModel folder.
"""

from __future__ import annotations

from models.recipes.classifier.command import train_command
from models.recipes.classifier.train import Settings
from models.recipes.sentiment.data import LABELS

SETTINGS = Settings(labels=LABELS, kind="softmax", epochs=2, consistency=1.0)

if __name__ == "__main__":
    train_command(SETTINGS, __doc__ or "")
