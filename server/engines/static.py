"""Static embedding models: a table has a vector for each token, and there is no network."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.convert.tensors.base import WeightFile, whole
from models.convert.tensors.ctranslate2 import read_model_file
from server.engines.base import Outbox
from server.engines.kinds import EngineSpec
from server.engines.rows import Encoded, EncoderRow

TABLE = "embeddings/weight"


class StaticEngine:
    """One static embedding model: a table of vectors."""

    def __init__(self, spec: EngineSpec) -> None:
        folder = Path(spec.folder)
        file = WeightFile(folder / "model.bin")
        try:
            self._table = whole(read_model_file(file).tensors[TABLE])
        finally:
            file.close()
        self._unknown = json.loads((folder / "config.json").read_text("utf-8")).get("unknown_id")

    def run(self, rows: Sequence[EncoderRow], out: Outbox[EncoderRow, None, Encoded]) -> None:
        """Return the mean of each row's vectors, without unknown tokens; the null vector if all tokens are unknown."""
        for i, row in enumerate(rows):
            ids = np.asarray(row.ids)
            ids = ids[ids != self._unknown] if self._unknown is not None else ids
            if row.pooling == "none":
                out.done(i, Encoded(self._table[np.asarray(row.ids)]))
                continue
            zeros = np.zeros(self._table.shape[1], np.float32)
            out.done(i, Encoded(self._table[ids].mean(axis=0) if len(ids) else zeros))

    def close(self) -> None:
        """Free the table."""
        del self._table
