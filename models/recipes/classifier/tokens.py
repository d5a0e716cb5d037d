"""Apply a `tokenizer.json`: text to ids and the list of its tokens.

Contract: truncation and padding are off, whatever the file says; the caller gives the limit. It
knows nothing of labels, torch or model folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer


def load_tokenizer(file: Path) -> Tokenizer:
    """A tokenizer that neither truncates nor pads, whatever its file says."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def vocabulary_in_order(tokenizer: Tokenizer) -> list[str]:
    """Every token, by id."""
    rows = {row: token for token, row in tokenizer.get_vocab(with_added_tokens=True).items()}
    return [rows[row] for row in range(len(rows))]


def encode_rows(tokenizer: Tokenizer, texts: Sequence[str], limit_tokens: int) -> list[list[int]]:
    """Ids of each text with [CLS] and [SEP], at most `limit_tokens` long."""
    return [cut(encoding.ids, limit_tokens) for encoding in tokenizer.encode_batch(list(texts))]


def cut(ids: Iterable[int], limit_tokens: int) -> list[int]:
    """Keep the beginning and the closing [SEP] of an overlong row."""
    row = list(ids)
    return row if len(row) <= limit_tokens else [*row[: limit_tokens - 1], row[-1]]
