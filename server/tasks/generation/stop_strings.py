"""Stop strings, thoughts and the beginnings of tool calls, in a text that comes in parts.

The text is cut before the stop string that is complete first. If several are complete at the same character, the text
is cut before the longest. The result depends only on the whole text, not on its parts, and no part of a stop string is
ever sent. In the same way `CallMarks` holds back text that may begin a call, and `ThoughtMarks` text that may end a
thought. This module knows nothing of tokens.
"""

from collections.abc import Sequence


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """The index to cut the text at and the stop string that begins there, or None if the text has no stop string."""
    found = [(at + len(stop), at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return None
    _, at, stop = min(found)
    return at, stop


class StopStrings:
    """Watches one text for stop strings. Holds back only the end of the text that may become a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Watch for these stop strings.

        Raises:
            ValueError: a stop string is empty.
        """
        if not all(stops):
            raise ValueError("a stop string is empty")
        self._stops = tuple(stops)
        self._held = ""
        self.matched: str | None = None
        """The stop string that ended the text."""

    def push(self, delta: str) -> str:
        """Add a part of the text. Returns the text that may be sent now; always empty after a match."""
        if self.matched is not None:
            return ""
        text = self._held + delta
        found = first_stop(text, self._stops)
        if found is not None:
            at, self.matched = found
            self._held = ""
            return text[:at]
        keep = _possible(text, self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """The held-back text, to be sent when no more text comes."""
        held, self._held = self._held, ""
        return held


class CallMarks:
    """Watches one completion for the first mark of a call, and collects the text from that mark on."""

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
        """Whether it is too late for a call to begin."""
        self.collected: str | None = None
        """The text from the mark on; None before a mark."""

    def push(self, delta: str) -> str:
        """Add a part of the text. Returns the plain text that may be sent now."""
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
        keep = _possible(text, self._marks)
        if self._only_first and text[: len(text) - keep].strip():
            self._plain = True
            return text
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """The held-back text, to be sent when no more text comes."""
        held, self._held = self._held, ""
        return held


class ThoughtMarks:
    """Cuts one completion into a thought and the answer after it, and drops the white space around the thought."""

    def __init__(self, begin: str, end: str, *, inside: bool) -> None:
        """Watch for the marks.

        Args:
            begin: the mark that begins a thought, if only white space comes before it.
            end: the mark that ends a thought.
            inside: the text begins inside a thought.
        """
        self._begin, self._end = begin, end
        self._held = ""
        self._fresh = True
        """Whether the thought has no text yet."""
        self.inside: bool | None = inside or None
        """Whether the text is inside a thought; None while it may still become the mark that begins a thought."""
        self.thought = inside
        """Whether the completion has a thought."""
        self.blank = True
        """Whether the answer after a thought has no text yet."""

    def push(self, delta: str) -> tuple[str, str]:
        """Add a part of the text. Returns the text that may be sent now, of the thought and of the answer."""
        text, self._held = self._held + delta, ""
        if self.inside is None:
            said = text.lstrip()
            if said.startswith(self._begin):
                self.inside = self.thought = True
                text = said[len(self._begin) :]
            elif self._begin.startswith(said):
                self._held = text
                return "", ""
            else:
                self.inside = False
                return "", text
        if not self.inside:
            return "", self._answer(text)
        thought, found, after = text.partition(self._end)
        if found:
            self.inside = False
            return self._thought(thought).rstrip(), self._answer(after)
        keep = _possible(text, (self._end,))
        shown = text[: len(text) - keep].rstrip()
        self._held = text[len(shown) :]
        return self._thought(shown), ""

    def finish(self) -> tuple[str, str]:
        """The held-back text of the thought and of the answer, to be sent when no more text comes."""
        held, self._held = self._held, ""
        if self.inside:
            return self._thought(held).rstrip(), ""
        return "", held if self.inside is None else ""

    def _thought(self, text: str) -> str:
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        return text

    def _answer(self, text: str) -> str:
        """The answer's text. After a thought, white space before the answer's first word is dropped."""
        if self.thought and self.blank:
            text = text.lstrip()
            self.blank = not text
        return text


def _possible(text: str, marks: Sequence[str]) -> int:
    """The length in characters of the longest end of the text that is the beginning of a mark."""
    for length in range(min(len(text), max(map(len, marks), default=1) - 1), 0, -1):
        end = text[len(text) - length :]
        if any(mark.startswith(end) for mark in marks):
            return length
    return 0
