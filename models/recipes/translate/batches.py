"""Token ids of the training rows, and batches of nearly equal length made of them.

Rows of one batch have the same source length wherever possible: little time goes to padding,
and most batches need no mask. Knows nothing of the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

Ids = NDArray[np.uint16]
POOL_ROWS = 200_000
MOST_TOKENS = 200


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids of rows of nearly equal length."""

    source: NDArray[np.int64]  # (rows, source tokens), padded with 0
    source_lengths: NDArray[np.int64]
    target: NDArray[np.int64]  # (rows, 1 + longest target): <s>, the tokens, padded with </s>
    target_lengths: NDArray[np.int64]  # with </s>, without <s>


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows' ids end to end; row i is ids[starts[i]:starts[i + 1]]."""

    source_ids: Ids
    source_starts: NDArray[np.int64]
    target_ids: Ids
    target_starts: NDArray[np.int64]
    weights: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write all arrays to one .npz file."""
        np.savez(
            path,
            source_ids=self.source_ids,
            source_starts=self.source_starts,
            target_ids=self.target_ids,
            target_starts=self.target_starts,
            weights=self.weights,
        )

    @classmethod
    def load(cls, path: Path) -> Rows:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


def _flat(sequences: list[list[int]]) -> tuple[Ids, NDArray[np.int64]]:
    starts = np.zeros(len(sequences) + 1, np.int64)
    np.cumsum([len(ids) for ids in sequences], out=starts[1:])
    return np.fromiter((i for ids in sequences for i in ids), np.uint16, starts[-1]), starts


def encode_rows(text: Path, tokenizer: sentencepiece.SentencePieceProcessor) -> Rows:
    """Tokenize the training rows; rows of MOST_TOKENS or more on a side are left out."""
    weights: list[float] = []
    sources: list[list[int]] = []
    targets: list[list[int]] = []
    with text.open(encoding="utf-8") as lines:
        while chunk := lines.readlines(20_000_000):
            fields = [line.rstrip("\n").split("\t") for line in chunk]
            encoded_sources = tokenizer.encode([f[2] for f in fields])
            encoded_targets = tokenizer.encode([f[3] for f in fields])
            for f, source, target in zip(fields, encoded_sources, encoded_targets, strict=True):
                if max(len(source), len(target)) < MOST_TOKENS and source and target:
                    weights.append(float(f[0]))
                    sources.append([tokenizer.piece_to_id(f"<2{f[1]}>"), *source])
                    targets.append(target)
    return Rows(*_flat(sources), *_flat(targets), np.array(weights, np.float32))


def _gather(rows: Rows, chosen: NDArray[np.int64], bos: int, eos: int) -> Batch:
    source_lengths = rows.source_starts[chosen + 1] - rows.source_starts[chosen]
    target_lengths = rows.target_starts[chosen + 1] - rows.target_starts[chosen] + 1
    source = np.zeros((len(chosen), source_lengths.max()), np.int64)
    target = np.full((len(chosen), 1 + target_lengths.max()), eos, np.int64)
    target[:, 0] = bos
    for place, row in enumerate(chosen):
        ids = rows.source_ids[rows.source_starts[row] : rows.source_starts[row + 1]]
        source[place, : len(ids)] = ids
        ids = rows.target_ids[rows.target_starts[row] : rows.target_starts[row + 1]]
        target[place, 1 : 1 + len(ids)] = ids
    return Batch(source, source_lengths, target, target_lengths)


def batches(rows: Rows, batch_tokens: int, bos: int, eos: int, rng: np.random.Generator) -> Iterator[Batch]:
    """One epoch. Each row is drawn by its weight; `batch_tokens` counts both sides, padded."""
    chosen = np.flatnonzero(rng.random(len(rows.weights)) < rows.weights)
    rng.shuffle(chosen)
    source_lengths = np.diff(rows.source_starts)
    target_lengths = np.diff(rows.target_starts)
    for start in range(0, len(chosen), POOL_ROWS):
        pool = chosen[start : start + POOL_ROWS]
        pool = pool[np.lexsort((target_lengths[pool], source_lengths[pool]))]
        cuts = [0]
        longest = 0
        for place, row in enumerate(pool):
            length = int(source_lengths[row] + target_lengths[row] + 1)
            longest = max(longest, length)
            if longest * (place + 1 - cuts[-1]) > batch_tokens:
                cuts.append(place)
                longest = length
        cuts.append(len(pool))
        for group in rng.permutation(len(cuts) - 1):
            members = pool[cuts[group] : cuts[group + 1]]
            if len(members):
                yield _gather(rows, members, bos, eos)
