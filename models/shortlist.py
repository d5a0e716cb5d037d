"""The target tokens that a source allows: the lexical shortlist that Mozilla's students ship with.

The form is Marian's binary shortlist (``src/data/shortlist.h`` of marian-dev). First come six little-endian 64-bit
numbers: a magic number, a checksum, the number of the vocabulary's first tokens that are always allowed, the most
tokens for one word, the number of offsets, and the number of tokens. Then come the offsets (64 bits each, one more than
the source's vocabulary has tokens) and the tokens of the target's (32 bits each). Those of source token ``i`` lie from
``offsets[i]`` to ``offsets[i + 1]``.

The file is mapped and not read. The module does without numpy, which makes a translator's process 20 MB smaller.
"""

import mmap
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.tables import ManifestError

FILE = "shortlist.bin"
MAGIC = 0xF11A48D5013417F5
HEADER = struct.Struct("<6Q")
_PORTION = 1 << 16


class Shortlist:
    """The target tokens that each source token allows, and those that are always allowed."""

    def __init__(self, always: int, offsets: Sequence[int], tokens: Sequence[int]) -> None:
        self._always = range(always)
        self._offsets = offsets
        self._tokens = tokens

    @classmethod
    def of(cls, folder: Path, source_size: int, target_size: int) -> "Shortlist | None":
        """The shortlist of a model folder, checked against the sizes of its vocabularies; None if the folder has no
        shortlist.

        Raises:
            ManifestError: the file is damaged, or made for other vocabularies.
        """
        file = folder / FILE
        return cls.read(file, source_size, target_size) if file.is_file() else None

    @classmethod
    def read(cls, file: Path, source_size: int, target_size: int) -> "Shortlist":
        """Map and check a file. Raises `ManifestError` like `of`."""
        with file.open("rb") as opened:
            head = opened.read(HEADER.size)
            if len(head) < HEADER.size:
                raise ManifestError(file, "is cut off in its header")
            magic, _, always, _, offset_count, token_count = HEADER.unpack(head)
            if magic != MAGIC:
                raise ManifestError(file, "is no binary shortlist")
            if offset_count != source_size + 1 or always > target_size:
                raise ManifestError(
                    file, f"was made for other vocabularies than those of {source_size} and {target_size} tokens"
                )
            if file.stat().st_size != HEADER.size + 8 * offset_count + 4 * token_count:
                raise ManifestError(file, "has another length than its header says")
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        border = HEADER.size + 8 * offset_count
        offsets = _numbers("Q", memoryview(mapped)[HEADER.size : border])
        tokens = _numbers("I", memoryview(mapped)[border:])
        if offsets[0] != 0 or offsets[-1] != token_count or any(map(int.__gt__, offsets, offsets[1:])):
            raise ManifestError(file, "has offsets that are not in order")
        portions = (tokens[at : at + _PORTION] for at in range(0, token_count, _PORTION))
        if any(max(portion) >= target_size for portion in portions):
            raise ManifestError(file, "has a token that is not in the vocabulary")
        if hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_DONTNEED)  # frees the pages that the check of the whole file brought in
        return cls(int(always), offsets, tokens)

    def of_source(self, source: Iterable[int], wanted: Iterable[int] = ()) -> list[int]:
        """The tokens that a source allows, and the ``wanted`` ones, in ascending order."""
        found = {*self._always, *wanted}
        for id in set(source):
            found.update(self._tokens[self._offsets[id] : self._offsets[id + 1]])
        return sorted(found)


def _numbers(kind: str, raw: memoryview) -> Sequence[int]:
    """The little-endian numbers of a stretch of the file."""
    if sys.byteorder == "little":
        return raw.cast(kind)  # type: ignore[call-overload, no-any-return, unused-ignore]
    copied = array(kind, raw.tobytes())
    copied.byteswap()
    return copied
