"""Encoding through CTranslate2's ``Encoder``: one pooled vector a row, for heads and embeddings."""

from collections.abc import Sequence

import ctranslate2
import numpy as np

from server.engines.base import Outbox
from server.engines.ct2_open import open_model
from server.engines.kinds import EngineSpec
from server.engines.rows import Encoded, EncoderRow


class EncoderEngine:
    """One encoder model; ``spec.lanes`` replicas share its weights."""

    def __init__(self, spec: EngineSpec) -> None:
        self._encoder = open_model(ctranslate2.Encoder, spec)

    def run(self, rows: Sequence[EncoderRow], out: Outbox[EncoderRow, None, Encoded]) -> None:
        """Encode the rows together and pool each over its own tokens.

        Padded positions of the hidden state hold copies of the last valid token, not zeros: each row is
        pooled over its own length.
        """
        output = self._encoder.forward_batch([list(row.ids) for row in rows])
        hidden = np.asarray(output.last_hidden_state)
        for i, row in enumerate(rows):
            vector = hidden[i, 0].copy() if row.pooling == "cls" else hidden[i, : len(row.ids)].mean(axis=0)
            out.done(i, Encoded(vector))

    def close(self) -> None:
        """Free the model."""
        del self._encoder
