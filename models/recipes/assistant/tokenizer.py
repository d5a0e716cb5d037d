"""Step 2: a sentencepiece BPE over the training rows' plain text, `tokenizer.model` in --work.

Digits are single pieces and unknown characters become bytes. The model's special tokens are
CONTROL symbols: encoding text never yields them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import sentencepiece

from models.families.hearth_assistant import CONTROL_TOKENS, SPECIAL_TOKENS


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not read here; accepted so that all steps take it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=6144)
    parser.add_argument("--rows", type=int, default=12000, help="rows sampled evenly from the training rows")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=plain_text(arguments.work / "rows.jsonl", arguments.rows),
        model_prefix=str(arguments.work / "tokenizer"),
        model_type="bpe",
        vocab_size=arguments.vocabulary,
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.9998,
        normalization_rule_name="nmt_nfkc",
        remove_extra_whitespaces=True,
        control_symbols=list(CONTROL_TOKENS),
        num_threads=arguments.threads,
        minloglevel=1,
    )


def plain_text(rows: Path, limit: int) -> Iterator[str]:
    """The text segments of `limit` rows, evenly spread over the file."""
    with rows.open(encoding="utf-8") as lines:
        total = sum(1 for _ in lines)
    every = max(1, total // limit)
    with rows.open(encoding="utf-8") as lines:
        for index, line in enumerate(lines):
            if index % every == 0:
                yield from (s for s in json.loads(line)["segments"] if s not in SPECIAL_TOKENS)


if __name__ == "__main__":
    main()
