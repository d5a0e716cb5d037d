"""Step 2, tokenizer: one sentencepiece model for all languages, from the training rows.

Contract: `<2xx>` is one piece per target language; every letter of the languages and the signs of CHARACTERS
are pieces; bytes stand in for other characters. `--extend` keeps all pieces of a shipped tokenizer, ids
included, and puts new ones behind them, so that `train --init` can start from that model's weights.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import sentencepiece

from models.recipes.translate.pieces import CHARACTERS, extend
from models.recipes.translate.section import LANGUAGES


def sample_texts(rows: Path, rng: random.Random) -> Iterator[str]:
    """Every row by its weight; one direction only, since the other holds the same text."""
    with rows.open(encoding="utf-8") as lines:
        for line in lines:
            weight, language, source, target = line.rstrip("\n").split("\t")
            if language != "en" and rng.random() < 0.6 * float(weight):
                yield source
                yield target


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not read here; accepted so that all steps take it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--reuse", type=Path, help="model folder whose tokenizer to take instead, for train --init")
    parser.add_argument("--extend", type=Path, help="model folder whose pieces to keep and extend, for train --init")
    parser.add_argument("--vocabulary", type=int, default=12_000, help="pieces in all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.reuse:
        shutil.copyfile(options.reuse / "tokenizer.model", options.work / "tokenizer.model")
    else:
        learn(options)
    if options.extend:
        extend(options.extend / "tokenizer.model", options.work / "tokenizer.model", options.vocabulary)


def learn(options: argparse.Namespace) -> None:
    """Train the tokenizer on a sample of the training rows."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sample_texts(options.work / "train.tsv", random.Random(options.seed)),
        model_prefix=str(options.work / "tokenizer"),
        vocab_size=options.vocabulary,
        model_type="unigram",
        byte_fallback=True,
        character_coverage=0.9998,
        required_chars="".join(CHARACTERS),
        normalization_rule_name="nmt_nfkc",
        control_symbols=[f"<2{language}>" for language in LANGUAGES],
        pad_id=-1,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        num_threads=options.threads,
        minloglevel=1,
    )


if __name__ == "__main__":
    main()
