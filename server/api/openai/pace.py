"""How fast a stream goes: the times between two pieces of one choice."""

import time

from server.api.record import Record
from server.tasks.chat_translation import TranslationStream
from server.tasks.stream import GenerationStream

Deltas = GenerationStream | TranslationStream
"""What comes of a generation request, whatever serves it."""


class Pace:
    """Told of each piece as it goes out; the gaps end up in the record."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._last_s: dict[int, float] = {}

    def tick(self, index: int, deltas: Deltas) -> None:
        """A piece of this choice."""
        now_s = time.perf_counter()
        if not self._last_s:
            self._record.timing = deltas.timing  # the headers go out with the first piece
        if (last_s := self._last_s.get(index)) is not None:
            self._record.gaps_s.append(now_s - last_s)
        self._last_s[index] = now_s
