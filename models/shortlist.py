"""Which target tokens may come for a source: the lexical shortlist that Mozilla's students ship with.

The form is Marian's binary shortlist (``src/data/shortlist.h`` of marian-dev). First come six little-endian 64-bit
numbers: a magic number, a checksum, how many of the vocabulary's first tokens always come, how many tokens a word
brings at most, the number of offsets, and the number of tokens. Then come the offsets (64 bits each, one more than the
vocabulary has tokens) and the tokens (32 bits each). Those of source token ``i`` lie from ``offsets[i]`` to
``offsets[i + 1]``.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.tables import ManifestError

FILE = "shortlist.bin"
MAGIC = 0xF11A48D5013417F5
HEADER = struct.Struct("<6Q")


class Shortlist:
    """The tokens that each source token brings, and those that always come."""

    def __init__(self, always: int, offsets: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> None:
        self._always = np.arange(always, dtype=np.int32)
        self._offsets = offsets
        self._tokens = tokens

    @classmethod
    def of(cls, folder: Path, vocabulary: int) -> "Shortlist | None":
        """The shortlist of a model folder; None where it has none.

        Raises:
            ManifestError: the file is damaged, or made for another vocabulary.
        """
        file = folder / FILE
        return cls.read(file, vocabulary) if file.is_file() else None

    @classmethod
    def read(cls, file: Path, vocabulary: int) -> "Shortlist":
        """Read and check a file; raises as ``of``."""
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(HEADER.size)
            if len(head) < HEADER.size:
                raise ManifestError(file, "is cut off in its header")
            magic, _, always, _, offset_count, token_count = HEADER.unpack(head)
            if magic != MAGIC:
                raise ManifestError(file, "is no binary shortlist")
            if offset_count != vocabulary + 1 or always > vocabulary:
                raise ManifestError(file, f"was made for another vocabulary than one of {vocabulary} tokens")
            if size != HEADER.size + 8 * offset_count + 4 * token_count:
                raise ManifestError(file, "has another length than its header says")
            offsets = np.fromfile(opened, "<u8", offset_count)
            tokens = np.fromfile(opened, "<u4", token_count)
        if offsets[0] != 0 or offsets[-1] != token_count or (offsets[1:] < offsets[:-1]).any():
            raise ManifestError(file, "has offsets that are not in order")
        if (tokens >= vocabulary).any():
            raise ManifestError(file, "has a token that is not in the vocabulary")
        return cls(int(always), offsets.view(np.int64), tokens.view(np.int32))

    def of_source(self, source: Sequence[int], wanted: Sequence[int] = ()) -> list[int]:
        """The tokens that may come for a source, ascending; those that are ``wanted`` are among them."""
        slices = [self._tokens[self._offsets[id] : self._offsets[id + 1]] for id in sorted(set(source))]
        merged: list[int] = np.unique(np.concatenate([self._always, np.asarray(wanted, np.int32), *slices])).tolist()
        return merged
