"""How much a key may still use this minute: a token bucket, told the time by a clock that can be put in."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds that never go back."""


class Bucket:
    """Holds up to ``per_minute`` and fills at that rate; full at first.

    More can be taken than is there (a completion's length is known when it ends): then it is below zero, and stays shut
    until the debt is paid. So over time no more is used than the rate, whatever runs at once.
    """

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._filled_s = clock()

    def take(self, amount: float) -> None:
        """Take so much, whether it is there or not."""
        self._fill()
        self._level -= amount

    @property
    def wait_s(self) -> float:
        """Until there is at least one; 0 when there is."""
        self._fill()
        return max(0.0, 1.0 - self._level) * 60.0 / self.per_minute

    @property
    def remaining(self) -> int:
        """What is there, in whole units; 0 while there is a debt."""
        self._fill()
        return max(0, int(self._level))

    @property
    def full_s(self) -> float:
        """Until it is full again."""
        self._fill()
        return (self.per_minute - self._level) * 60.0 / self.per_minute

    def _fill(self) -> None:
        now_s = self._clock()
        grown = (now_s - self._filled_s) * self.per_minute / 60.0
        self._level = min(float(self.per_minute), self._level + grown)
        self._filled_s = now_s
