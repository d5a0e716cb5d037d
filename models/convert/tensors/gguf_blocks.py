"""Decodes the blocks in which GGUF stores numbers.

A row is a run of blocks. The layouts are ggml's, little endian: ``d`` and ``m`` are the block's scale and offset, ``q``
has the low bits of the numbers, ``h`` the high ones. The module does not read types that need tables of whole vectors
(IQ1 to IQ3).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.convert.tensors.base import Floats, float_decoder

_NIBBLES = np.array([0, 4], np.uint8)
_PAIRS = np.array([0, 2, 4, 6], np.uint8)
_BITS = np.arange(8, dtype=np.uint8)
_UNEVEN = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
"""The numbers of IQ4's sixteen values."""
_MXFP4 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)

Blocks = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Block:
    """The numbers and bytes of a block, and the function that decodes it."""

    name: str
    numbers: int
    size_bytes: int
    decode: Callable[[bytes], Floats]


def _block(name: str, numbers: int, fields: list[Any], make: Callable[[Blocks], Floats]) -> Block:
    layout = np.dtype(fields)

    def decode(raw: bytes) -> Floats:
        return np.asarray(make(np.frombuffer(raw, layout)), np.float32).reshape(-1)

    return Block(name, numbers, layout.itemsize, decode)


def _scale(blocks: Blocks, field: str = "d") -> Floats:
    return blocks[field].astype(np.float32).reshape(-1, 1)


def _low_then_high(packed: Blocks, groups: int) -> Blocks:
    """Values of four bits: in each group the low halves of all bytes, then the high ones; (blocks, 2 groups, bytes)."""
    split = packed.reshape(len(packed), groups, 1, -1) >> _NIBBLES[:, None]
    return (split & np.uint8(15)).reshape(len(packed), groups * 2, -1)


def _fours(blocks: Blocks) -> Floats:
    return _low_then_high(blocks["q"], 1).reshape(len(blocks), 32).astype(np.float32)


def _fives(blocks: Blocks) -> Floats:
    high = np.unpackbits(blocks["h"], axis=1, bitorder="little")
    low = _low_then_high(blocks["q"], 1).reshape(len(blocks), 32)
    return np.asarray(low | (high << np.uint8(4)), np.float32)


def _q2_k(blocks: Blocks) -> Floats:
    scales = blocks["s"]
    d, m = _scale(blocks) * (scales & 15), _scale(blocks, "m") * (scales >> 4)
    q = (blocks["q"].reshape(-1, 2, 1, 32) >> _PAIRS[:, None]) & np.uint8(3)
    return np.asarray(d[:, :, None] * q.reshape(-1, 16, 16) - m[:, :, None], np.float32)


def _q3_k(blocks: Blocks) -> Floats:
    low, high = blocks["s"][:, :8], blocks["s"][:, 8:]
    scales = ((low[:, None, :] >> _NIBBLES[:, None]) & 15).reshape(-1, 16)
    scales = scales | (((high[:, None, :] >> _PAIRS[:, None]) & 3) << 4).reshape(-1, 16)
    q = ((blocks["q"].reshape(-1, 2, 1, 32) >> _PAIRS[:, None]) & np.uint8(3)).reshape(-1, 16, 16).astype(np.float32)
    absent = 1 - ((blocks["h"][:, None, :] >> _BITS[:, None]) & 1).reshape(-1, 16, 16)
    d = _scale(blocks) * (scales.astype(np.float32) - 32)
    return np.asarray(d[:, :, None] * (q - 4 * absent.astype(np.float32)), np.float32)


def _scales_and_offsets(packed: Blocks) -> tuple[Floats, Floats]:
    """Eight scales and eight offsets of six bits each, out of twelve bytes."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 2) & 48)], axis=1)
    offsets = np.concatenate([second & 63, (third >> 4) | ((second >> 2) & 48)], axis=1)
    return scales.astype(np.float32), offsets.astype(np.float32)


def _q45_k(blocks: Blocks, q: Blocks) -> Floats:
    scales, offsets = _scales_and_offsets(blocks["s"])
    d, m = _scale(blocks) * scales, _scale(blocks, "m") * offsets
    return d[:, :, None] * q.astype(np.float32) - m[:, :, None]


def _q4_k(blocks: Blocks) -> Floats:
    return _q45_k(blocks, _low_then_high(blocks["q"], 4))


def _q5_k(blocks: Blocks) -> Floats:
    high = ((blocks["h"][:, None, :] >> _BITS[:, None]) & 1) << np.uint8(4)
    return _q45_k(blocks, _low_then_high(blocks["q"], 4) | high)


def _q6_k(blocks: Blocks) -> Floats:
    low = _low_then_high(blocks["q"], 2).reshape(-1, 8, 32)
    high = ((blocks["h"].reshape(-1, 2, 1, 32) >> _PAIRS[:, None]) & np.uint8(3)).reshape(-1, 8, 32)
    q = (low | (high << np.uint8(4))).reshape(-1, 16, 16).astype(np.float32) - 32
    return np.asarray((_scale(blocks) * blocks["s"])[:, :, None] * q, np.float32)


def _iq4_nl(blocks: Blocks) -> Floats:
    return _scale(blocks) * _UNEVEN[_low_then_high(blocks["q"], 1).reshape(-1, 32)]


def _iq4_xs(blocks: Blocks) -> Floats:
    low = ((blocks["l"][:, :, None] >> _NIBBLES) & 15).reshape(-1, 8)
    high = (blocks["h"][:, None] >> np.arange(0, 16, 2, dtype=np.uint16)) & 3
    d = _scale(blocks) * ((low | (high << 4)).astype(np.float32) - 32)
    return d[:, :, None] * _UNEVEN[_low_then_high(blocks["q"], 8).reshape(-1, 8, 32)]


def _mxfp4(blocks: Blocks) -> Floats:
    """The scale is a power of two, and half of it, since the values are doubled."""
    d = np.exp2(blocks["e"].astype(np.float32) - 128).reshape(-1, 1)
    return d * _MXFP4[_low_then_high(blocks["q"], 1).reshape(-1, 32)]


def _floats(name: str, size: int) -> Block:
    return Block(name, 1, size, float_decoder(name))


_D, _M = ("d", "<f2"), ("m", "<f2")
BLOCKS: Mapping[int, Block] = {
    0: _floats("F32", 4),
    1: _floats("F16", 2),
    2: _block("Q4_0", 32, [_D, ("q", "u1", 16)], lambda b: _scale(b) * (_fours(b) - 8)),
    3: _block("Q4_1", 32, [_D, _M, ("q", "u1", 16)], lambda b: _scale(b) * _fours(b) + _scale(b, "m")),
    6: _block("Q5_0", 32, [_D, ("h", "u1", 4), ("q", "u1", 16)], lambda b: _scale(b) * (_fives(b) - 16)),
    7: _block("Q5_1", 32, [_D, _M, ("h", "u1", 4), ("q", "u1", 16)], lambda b: _scale(b) * _fives(b) + _scale(b, "m")),
    8: _block("Q8_0", 32, [_D, ("q", "i1", 32)], lambda b: _scale(b) * b["q"]),
    10: _block("Q2_K", 256, [("s", "u1", 16), ("q", "u1", 64), _D, _M], _q2_k),
    11: _block("Q3_K", 256, [("h", "u1", 32), ("q", "u1", 64), ("s", "u1", 12), _D], _q3_k),
    12: _block("Q4_K", 256, [_D, _M, ("s", "u1", 12), ("q", "u1", 128)], _q4_k),
    13: _block("Q5_K", 256, [_D, _M, ("s", "u1", 12), ("h", "u1", 32), ("q", "u1", 128)], _q5_k),
    14: _block("Q6_K", 256, [("q", "u1", 128), ("h", "u1", 64), ("s", "i1", 16), _D], _q6_k),
    20: _block("IQ4_NL", 32, [_D, ("q", "u1", 16)], _iq4_nl),
    23: _block("IQ4_XS", 256, [_D, ("h", "<u2"), ("l", "u1", 4), ("q", "u1", 128)], _iq4_xs),
    28: _floats("F64", 8),
    30: _floats("BF16", 2),
    39: _block("MXFP4", 32, [("e", "u1"), ("q", "u1", 16)], _mxfp4),
}
"""The types by ggml's number."""
UNREAD: Mapping[int, str] = {
    16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 29: "IQ1_M", 34: "TQ1_0",
    35: "TQ2_0", 40: "NVFP4",
}  # fmt: skip
"""Types that models use but this module does not read."""
