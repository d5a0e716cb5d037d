"""How fast a stream goes: the times between two pieces of one choice."""

import time

from server.api.record import Record


class Pace:
    """Told of each piece as it goes out; the gaps end up in the record."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._last_s: dict[int, float] = {}

    def tick(self, index: int) -> None:
        """A piece of this choice."""
        now_s = time.perf_counter()
        if (last_s := self._last_s.get(index)) is not None:
            self._record.gaps_s.append(now_s - last_s)
        self._last_s[index] = now_s
