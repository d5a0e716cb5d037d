"""The torch side of the comparison with the converted model.

Contract: token ids in, mean-pooled float32 vectors out, without CTranslate2. It knows nothing
of heads or labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.recipes.classifier.encoder import SentenceEncoder


def torch_pooled(encoder: SentenceEncoder, ids: Sequence[Sequence[int]], batch_rows: int = 32) -> NDArray[np.float32]:
    """The mean vector of each row; rows of one length share a batch."""
    encoder.eval()
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(ids):
        by_length.setdefault(len(row), []).append(index)
    vectors = np.zeros((len(ids), encoder.shape.width), dtype=np.float32)
    with torch.inference_mode():
        for indices in by_length.values():
            for start in range(0, len(indices), batch_rows):
                chosen = indices[start : start + batch_rows]
                batch = torch.tensor([list(ids[index]) for index in chosen])
                vectors[chosen] = encoder(batch).mean(dim=1).numpy()
    return vectors
