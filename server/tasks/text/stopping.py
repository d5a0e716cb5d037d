"""Stop strings in a text that comes in parts: cut before the stop, never leak a part of it.

The text ends where a stop string is first complete; if several are complete there, before the longest. That
is a fact of the whole text: it does not depend on how the text was cut into parts. Knows nothing of tokens.
"""

from collections.abc import Sequence


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Where the text is to be cut and which stop string did it, or None."""
    found = [(at + len(stop), at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return None
    _, at, stop = min(found)
    return at, stop


class StopStrings:
    """Watches one text. Holds back only what may still become a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Watch for the stop strings, each at least one character long."""
        if not all(stops):
            raise ValueError("a stop string is empty")
        self._stops = tuple(stops)
        self._held = ""
        self.matched: str | None = None
        """The stop string that ended the text."""

    def push(self, delta: str) -> str:
        """The text that may go out now. After a match: nothing any more."""
        if self.matched is not None:
            return ""
        text = self._held + delta
        found = first_stop(text, self._stops)
        if found is not None:
            at, self.matched = found
            self._held = ""
            return text[:at]
        keep = self._possible(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held

    def _possible(self, text: str) -> int:
        """Length of the longest end of the text with which a stop string begins."""
        for length in range(min(len(text), max(map(len, self._stops), default=1) - 1), 0, -1):
            end = text[len(text) - length :]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
