"""Checks that the weights in a CTranslate2 ``model.bin`` are numbers: one NaN turns every answer of a model into noise.

Quantized layers turn a NaN into finite garbage, so outputs alone do not show it. The check reads only values stored as
floats (integers are always numbers), one variable at a time, without a copy of the file in memory.
"""

import math
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy.typing as npt

from models.tables import ManifestError

BINARY_VERSION = 6
FLOAT32, FLOAT16, BFLOAT16 = 0, 4, 5
"""The numbers by which the file names its float types."""

PORTION = 1 << 22
"""The number of values in one step of the check."""
FEW = 1 << 19
"""The number of values in one sum. The sum does without numpy, which would take 20 MB in every engine process."""


def require_finite(file: Path) -> None:
    """Refuse weights that are not numbers. Minus infinity passes, since a bias uses it to ban a token.

    Raises:
        ManifestError: a variable, which the message names, has such a weight; or CTranslate2 did not write the file.
    """
    with file.open("rb") as opened:
        try:
            content = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
            for name, kind, raw in _floats(content):
                if _is_bad(kind, raw):
                    raise ManifestError(file, f"the values of '{name}' are not all numbers")
        except (struct.error, UnicodeDecodeError, ValueError) as error:
            raise ManifestError(file, f"cannot be read: {error}") from error


def _is_bad(kind: int, raw: memoryview) -> bool:
    if kind == FLOAT32 and len(raw) <= 4 * FEW and len(raw) % 4 == 0:
        total = sum(raw.cast("f"))  # in double precision: no numbers of a file add up to infinity
        return math.isnan(total) or total == math.inf
    import numpy as np

    stored: npt.NDArray[np.uint16 | np.uint32] = np.frombuffer(raw, np.uint32 if kind == FLOAT32 else np.uint16)
    exponent, mantissa, sign = {
        FLOAT32: (0x7F800000, 0x007FFFFF, 0x80000000),
        FLOAT16: (0x7C00, 0x03FF, 0x8000),
        BFLOAT16: (0x7F80, 0x007F, 0x8000),
    }[kind]
    for at in range(0, len(stored), PORTION):
        bits = stored[at : at + PORTION]
        extreme = bits[(bits & exponent) == exponent]  # infinities and NaN
        if ((extreme & mantissa) | (~extreme & sign)).any():
            return True
    return False


def _floats(content: memoryview) -> Iterator[tuple[str, int, memoryview]]:
    """Name, type and bytes of every variable of floats."""
    at = 0

    def numbers(code: str) -> tuple[int, ...]:
        nonlocal at
        found = struct.unpack_from(f"<{code}", content, at)
        at += struct.calcsize(f"<{code}")
        return found

    def text() -> str:
        nonlocal at
        (length,) = numbers("H")
        at += length
        return bytes(content[at - length : at - 1]).decode("utf-8")

    (version,) = numbers("I")
    if version != BINARY_VERSION:
        raise ValueError(f"binary version {version}; {BINARY_VERSION} is known here")
    text()
    numbers("I")
    for _ in range(numbers("I")[0]):
        name = text()
        numbers(f"{numbers('B')[0]}I")
        kind, length = numbers("BI")
        if at + length > len(content):
            raise ValueError(f"it ends within '{name}'")
        if kind in (FLOAT32, FLOAT16, BFLOAT16):
            yield name, kind, content[at : at + length]
        at += length
