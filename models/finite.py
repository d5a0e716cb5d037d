"""Whether the weights in a CTranslate2 ``model.bin`` are numbers: one NaN makes every answer of a model noise.

Quantized layers swallow a NaN and go on with finite garbage, so outputs alone do not tell. Only values stored as
floats are looked at (integers are always numbers), a variable at a time, without a copy of the file in memory.
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
"""The file's numbers for its types of floats."""

PORTION = 1 << 22
"""So many values are looked at at once."""
FEW = 1 << 19
"""So many are added up, without numpy: it would stay in the memory of every engine's process, 20 MB each."""


def require_finite(file: Path) -> None:
    """Refuse weights that are no numbers. Minus infinity passes: a bias bans a token with it.

    Raises:
        ManifestError: names the variable; or the file is not what CTranslate2 writes.
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
