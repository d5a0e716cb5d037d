"""One choice as its tokens come in: text, stops, log-probabilities, tool calls. No streams, no engine."""

import json
from collections import deque
from collections.abc import Sequence

from models.tokenizers import Tokenizer
from server.engines.rows import Generated, Token
from server.tasks.call_reader import CallReader
from server.tasks.results import Delta, ToolCall
from server.tasks.text.calls import CallMarks
from server.tasks.text.detokenise import Detokenizer
from server.tasks.text.stopping import StopStrings
from server.tasks.told import NONE, TokenTexts, Told


class Completion:
    """The state of one choice. ``take`` a token, then ``end``; both return what is new, if anything."""

    def __init__(
        self,
        index: int,
        tokenizer: Tokenizer,
        texts: TokenTexts,
        stops: Sequence[str],
        stop_ids: frozenset[int],
        *,
        logprobs: bool,
        reader: CallReader,
        continues_text: bool,
    ) -> None:
        self._index = index
        self._texts = texts
        self._stop_ids = stop_ids
        self._logprobs = logprobs
        self._reader = reader
        self._text = Detokenizer(tokenizer, continues_text=continues_text, shown=reader.shown)
        self._stops = StopStrings(stops)
        self._made_characters = 0
        self._sent_characters = 0
        self._waiting: deque[tuple[int, Token]] = deque()
        self._call: str | None = None
        """All that was written from the first call's token on."""
        self._marks = CallMarks(reader.marks, only_first=reader.only_first) if reader.marks else None
        self.tokens = 0
        """Completion tokens so far, the stop token included."""
        self.over = False
        """A stop string was met, or a call was made again: the row is to be dropped."""

    def take(self, token: Token) -> Delta | None:
        """One more token."""
        self.tokens += 1
        if token.id in self._stop_ids:
            return None
        if token.id == self._reader.call_id and self._call is None:
            self._call = ""
        text = self._text.push(token.id)
        if self._call is not None:
            self._call += text
            return self._repeated(self._call, len(text))
        self._made_characters += len(text)
        if self._logprobs and token.logprob is not None:
            self._waiting.append((self._made_characters, token))
        out = self._stops.push(text if self._marks is None else self._marks.push(text))
        if self._marks is not None and self._marks.collected is not None:
            last = self._repeated(self._marks.collected, len(text))
            if last is not None:
                out += self._stops.finish()
                return Delta(self._index, out, self._covered(len(out)), last.calls, last.finish_reason)
        if self._stops.matched is not None:
            self.over = True
            return Delta(self._index, out, self._covered(len(out)), finish_reason="stop")
        tokens = self._covered(len(out))
        return Delta(self._index, out, tokens) if out or tokens else None

    def end(self, how: Generated) -> Delta:
        """The row has ended."""
        rest = self._text.finish()
        cut = how.reason == "length"
        if self._call is not None and self._reader.parse is not None:
            calls = _each_once(self._reader.parse(self._call + rest, cut) or ())
            return Delta(self._index, calls=calls, finish_reason="tool_calls" if calls and not cut else how.reason)
        found, rest = self._marked(rest, cut=cut)
        if found is not None:
            calls = _each_once(found)
            rest = self._stops.push(rest) + self._stops.finish()
            reason = "tool_calls" if calls and not cut else how.reason
            return Delta(self._index, rest, self._covered(len(rest)), calls, finish_reason=reason)
        text = self._stops.push(rest)
        if self._stops.matched is None:
            text += self._stops.finish()
            tokens = Told([token for _, token in self._waiting], self._texts)
            return Delta(self._index, text, tokens, finish_reason=how.reason)
        return Delta(self._index, text, self._covered(len(text)), finish_reason="stop")

    def _marked(self, rest: str, *, cut: bool) -> tuple[Sequence[ToolCall] | None, str]:
        """The calls that a mark began, and what else there is to say: all of it where they are none after all."""
        if self._marks is None or self._reader.parse is None or self._stops.matched is not None:
            return None, rest
        plain = self._marks.push(rest)
        if self._marks.collected is None:
            return None, plain + self._marks.finish()
        calls = self._reader.parse(self._marks.collected, cut)
        return calls, plain if calls is not None else plain + self._marks.collected

    def _repeated(self, written: str, fresh: int) -> Delta | None:
        """The end of the turn, where a call was made for the second time: no other would come of it.

        Args:
            written: all from the first call on.
            fresh: so many characters of it are new.
        """
        reader = self._reader
        if (
            reader.parse is None
            or written.find(reader.call_ends, max(1, len(written) - fresh - len(reader.call_ends))) < 0
        ):
            return None
        calls = reader.parse(written, True) or ()
        once = _each_once(calls)
        if len(once) == len(calls):
            return None
        self.over = True
        return Delta(self._index, calls=once, finish_reason="tool_calls")

    def _covered(self, characters: int) -> Told:
        """The tokens that end within the text sent so far."""
        self._sent_characters += characters
        covered = []
        while self._waiting and self._waiting[0][0] <= self._sent_characters:
            covered.append(self._waiting.popleft()[1])
        return Told(covered, self._texts) if covered else NONE


def _each_once(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls without those that were made before."""
    kept: list[ToolCall] = []
    written: set[str] = set()
    for call in calls:
        one = json.dumps([call.name, call.arguments], sort_keys=True)
        if one not in written:
            written.add(one)
            kept.append(call)
    return kept
