"""Token ids and loss weights of the training rows, and batches of them.

The loss counts the calls the assistant writes doubly, its text and ends of turns once, user turns and
prose a little, tool lists and results not at all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from models.families.hearth_assistant import ASSISTANT, BOS, CALL, RESULT, SPECIAL_TOKENS, SYSTEM, USER

USER_WEIGHT = 0.2
_TURNS = {BOS: 0.2, SYSTEM: 0.0, USER: USER_WEIGHT, ASSISTANT: 1.0, RESULT: 0.0}
_WEIGHTS = {**_TURNS, CALL: 2.0}  # by the special token that a token follows


@dataclass(frozen=True, slots=True)
class Row:
    """Ids of one conversation; `weights[i]` is the loss weight of predicting `ids[i]`."""

    ids: NDArray[np.uint16]
    weights: NDArray[np.float16]


def encode(segments: Sequence[str], tokenizer: sentencepiece.SentencePieceProcessor, limit_tokens: int) -> Row:
    """A conversation as ids, cut at the limit."""
    ids: list[int] = []
    weights: list[float] = []
    role = BOS
    for segment in segments:
        if segment in SPECIAL_TOKENS:
            if segment in _WEIGHTS:
                role = segment
            ids.append(tokenizer.piece_to_id(segment))
            weights.append(0.0 if segment in _TURNS else _WEIGHTS[role])
        else:
            pieces = tokenizer.encode(segment)
            ids += pieces
            weights += [_WEIGHTS[role]] * len(pieces)
    return Row(np.asarray(ids[:limit_tokens], np.uint16), np.asarray(weights[:limit_tokens], np.float16))


def encoded_rows(work: Path, limit_tokens: int) -> list[Row]:
    """The rows of `rows.jsonl` as ids, cached beside it."""
    cache, rows = work / "rows.npz", work / "rows.jsonl"
    newest = max(rows.stat().st_mtime, (work / "tokenizer.model").stat().st_mtime)
    if not cache.exists() or cache.stat().st_mtime < newest:
        tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(work / "tokenizer.model"))
        with rows.open(encoding="utf-8") as lines:
            encoded = [encode(json.loads(line)["segments"], tokenizer, limit_tokens) for line in lines]
        np.savez(
            cache,
            ids=np.concatenate([row.ids for row in encoded]),
            weights=np.concatenate([row.weights for row in encoded]),
            lengths=np.asarray([len(row.ids) for row in encoded], np.int32),
        )
    with np.load(cache, allow_pickle=False) as arrays:
        ends = np.cumsum(arrays["lengths"])[:-1]
        ids, weights = np.split(arrays["ids"], ends), np.split(arrays["weights"], ends)
    return [Row(i, w) for i, w in zip(ids, weights, strict=True)]


def batches(rows: Sequence[Row], batch_tokens: int, seed: int, skip: int = 0) -> Iterator[list[Row]]:
    """Endless batches of about `batch_tokens` tokens, a new order each epoch.

    The same seed gives the same batches; `skip` leaves out the first ones (to resume).
    """
    rng = random.Random(seed)
    batch: list[Row] = []
    size = 0
    while True:
        order = list(range(len(rows)))
        rng.shuffle(order)
        for index in order:
            batch.append(rows[index])
            size += len(rows[index].ids)
            if size >= batch_tokens:
                if skip:
                    skip -= 1
                else:
                    yield batch
                batch, size = [], 0
