"""Step 2, tokenizer: one sentencepiece model for all languages, from the training rows.

Contract: `<2xx>` is one piece per target language; every letter of the languages and the signs of CHARACTERS
are pieces; bytes stand in for other characters. `--extend` keeps all pieces of a shipped tokenizer, ids
included, and puts new ones behind them, so that `train --init` can start from that model's weights.
"""

from __future__ import annotations

import argparse
import random
import shutil
import string
import struct
from collections.abc import Iterator
from pathlib import Path

import sentencepiece

from models.recipes.translate.section import LANGUAGES

CHARACTERS = (
    *string.ascii_letters,
    *string.digits,
    *string.punctuation,
    *"ÄÖÜäöüßẞÀÂÆÇÉÈÊËÎÏÔŒÙÛÜŸàâæçéèêëîïôœùûüÿÁÍÓÚÑáíóúñ",
    *"¡¿«»„“”‚‘’‹›–—·•€£¥¢§©®°‰×÷±→←",
)


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


def extend(shipped: Path, learnt: Path, vocabulary: int) -> None:
    """Replace `learnt` by the shipped tokenizer and the learnt pieces that it lacks, the likeliest first."""
    old = sentencepiece.SentencePieceProcessor(str(shipped))
    new = sentencepiece.SentencePieceProcessor(str(learnt))
    known = {old.id_to_piece(place) for place in range(old.vocab_size())}
    learnable = (place for place in range(new.vocab_size()) if not _joins_digits(new.id_to_piece(place)))
    missing = [place for place in learnable if new.id_to_piece(place) not in known]
    characters = [place for place in missing if new.id_to_piece(place) in CHARACTERS]
    others = [place for place in missing if new.id_to_piece(place) not in CHARACTERS]
    taken = (characters + others)[: vocabulary - len(known)]
    added = b"".join(_serialised(new.id_to_piece(place), new.get_score(place)) for place in taken)
    learnt.write_bytes(shipped.read_bytes() + added)


def _joins_digits(piece: str) -> bool:
    """Whether the piece is a part of some number: numbers are better copied from few and short pieces."""
    return len(piece) > 1 and any(character.isdigit() for character in piece)


def _serialised(piece: str, score: float) -> bytes:
    """A piece as sentencepiece_model.proto has it; pieces at the end of a serialised model are added to its others.

    ModelProto.pieces is field 1, of messages with piece (1, string) and score (2, float); its type is NORMAL if not set.
    """
    text = piece.encode()
    message = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", score)
    return b"\x0a" + bytes([len(message)]) + message


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
