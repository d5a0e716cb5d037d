"""Maps a vocabulary's pieces to the bytes that they stand for: each tokenizer family writes pieces in its own way."""

import json
import re
from collections.abc import Callable

PieceBytes = Callable[[str], bytes]

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def piece_bytes(description: str) -> PieceBytes:
    """The function that turns pieces into bytes.

    Args:
        description: ``"sentencepiece"``, or the text of a ``tokenizer.json``, whose decoder states the mapping.
    """
    if description == "sentencepiece":
        return _sentencepiece
    decoder = json.dumps(json.loads(description).get("decoder") or {})
    if '"ByteLevel"' in decoder:
        alphabet = _byte_level_alphabet()
        # An added token may have letters that stand for no byte; such a token stands for itself.
        return lambda piece: bytes(alphabet[c] for c in piece) if alphabet.keys() >= set(piece) else piece.encode()
    if '"WordPiece"' in decoder:
        return lambda piece: (piece.removeprefix("##") if piece.startswith("##") else f" {piece}").encode()
    return _sentencepiece


def _sentencepiece(piece: str) -> bytes:
    byte = _BYTE.fullmatch(piece)
    if byte:
        return bytes([int(byte[1], 16)])
    return piece.replace("\u2581", " ").encode()


def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-ins of byte-level BPE: Latin-1's visible characters stand for themselves, the rest follow."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(ord("\u00ae"), 256)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
