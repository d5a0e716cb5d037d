"""Where text ends and calls of tools begin, in a completion that comes in parts. Knows marks, not what a call says."""

from collections.abc import Sequence


class CallMarks:
    """Watches one completion for the first text that begins a call; all from there on is collected."""

    def __init__(self, marks: Sequence[str], *, only_first: bool) -> None:
        """Watch for the marks.

        Args:
            marks: texts that begin a call, each at least one character long.
            only_first: a mark counts only where nothing but white space comes before it.
        """
        self._marks = tuple(marks)
        self._only_first = only_first
        self._held = ""
        self._plain = False
        """Whether no call can begin any more."""
        self.collected: str | None = None
        """From the mark on; None while there was none."""

    def push(self, delta: str) -> str:
        """The plain text that may go out now."""
        if self.collected is not None:
            self.collected += delta
            return ""
        if self._plain:
            return delta
        text, self._held = self._held + delta, ""
        at = min((i for mark in self._marks if (i := text.find(mark)) >= 0), default=-1)
        if at >= 0 and not (self._only_first and text[:at].strip()):
            self.collected = text[at:]
            return text[:at]
        keep = self._possible(text)
        if self._only_first and text[: len(text) - keep].strip():
            self._plain = True
            return text
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held

    def _possible(self, text: str) -> int:
        """Length of the longest end of the text with which a mark begins."""
        longest = max(map(len, self._marks)) - 1
        ends = (text[len(text) - n :] for n in range(min(len(text), longest), 0, -1))
        return next((len(end) for end in ends if any(mark.startswith(end) for mark in self._marks)), 0)
