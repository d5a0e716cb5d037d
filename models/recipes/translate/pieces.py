"""The pieces of a tokenizer: the required characters, and a way to append new pieces to a shipped tokenizer.

This module knows sentencepiece models, but neither texts nor networks.
"""

from __future__ import annotations

import string
import struct
from pathlib import Path

import sentencepiece

CHARACTERS = (
    *string.ascii_letters,
    *string.digits,
    *string.punctuation,
    *"ÄÖÜäöüßẞÀÂÆÇÉÈÊËÎÏÔŒÙÛÜŸàâæçéèêëîïôœùûüÿÁÍÓÚÑáíóúñ",
    *"¡¿«»„“”‚‘’‹›–—·•€£¥¢§©®°‰×÷±→←",
)


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
    """A piece as sentencepiece_model.proto has it: behind a serialised model it is added to the model's others.

    ModelProto.pieces is field 1, of messages with piece (1, string) and score (2, float); their type is NORMAL.
    """
    text = piece.encode()
    message = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", score)
    return b"\x0a" + bytes([len(message)]) + message


def parts_of(piece: str, old: sentencepiece.SentencePieceProcessor) -> list[int]:
    """The ids of the likeliest old pieces that a new one is made of; a letter that was bytes is its small letter."""
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for end in range(1, len(piece) + 1):
        ways = [
            (best[start][0] + score, best[start][1] + ids)
            for start in range(end)
            for score, ids in [_as_old(piece[start:end], old)]
            if ids
        ]
        best.append(max(ways))
    return best[-1][1]


def _as_old(text: str, old: sentencepiece.SentencePieceProcessor) -> tuple[float, list[int]]:
    """Score and ids of a text that is one old piece or, if a single character, its small letter or its bytes."""
    for form in (text, text.lower()) if len(text) == 1 else (text,):
        found = old.piece_to_id(form)
        if found != old.unk_id():
            return old.get_score(found) - (form != text), [found]
    if len(text) > 1:
        return 0.0, []
    return -30.0, [old.piece_to_id(f"<0x{byte:02X}>") for byte in text.encode()]
