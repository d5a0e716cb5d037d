"""Stop strings, thoughts and the beginnings of tool calls, in a text that comes in parts.

The text ends where a stop string is first complete; if several are complete there, before the longest. That is a fact
of the whole text: it does not depend on how the text was cut into parts, and no part of a stop string is ever sent.
`CallMarks` holds back text that may begin a call in the same way, and `ThoughtMarks` text that may end a thought. This
module knows nothing of tokens.
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
        keep = _possible(text, self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held


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
        keep = _possible(text, self._marks)
        if self._only_first and text[: len(text) - keep].strip():
            self._plain = True
            return text
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held


class ThoughtMarks:
    """Cuts one completion into a thought and the answer after it, without the white space around either."""

    def __init__(self, begin: str, end: str, *, inside: bool) -> None:
        """Watch for the marks.

        Args:
            begin: what begins a thought, where nothing but white space comes before it.
            end: what ends one.
            inside: the text begins inside a thought.
        """
        self._begin, self._end = begin, end
        self._held = ""
        self._fresh = True
        """Whether the thought has no text yet."""
        self.inside: bool | None = inside or None
        """None: it is not known yet; False: the answer goes on."""
        self.thought = inside
        """Whether there was a thought."""
        self.blank = True
        """Whether the answer after a thought has no text yet."""

    def push(self, delta: str) -> tuple[str, str]:
        """What may go out now: of the thought, and of the answer."""
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
        """What was held back, once no more text comes."""
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
        """The answer's text: white space goes before the first word of it only where there was no thought."""
        if self.thought and self.blank:
            text = text.lstrip()
            self.blank = not text
        return text


def _possible(text: str, marks: Sequence[str]) -> int:
    """Length of the longest end of the text with which a mark begins."""
    for length in range(min(len(text), max(map(len, marks), default=1) - 1), 0, -1):
        end = text[len(text) - length :]
        if any(mark.startswith(end) for mark in marks):
            return length
    return 0
