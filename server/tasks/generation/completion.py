"""The choices of one generation request as their tokens come in: thoughts, text, stops, log-probabilities, tool calls.

`Completion` is the state of one choice and knows no engine. `GenerationStream` turns the events of a job into deltas,
in the order of the events, and counts the request's tokens.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from models.tokenizers import Tokenizer
from server.batching.job import Job, Outcome, Piece, Timing
from server.engines.rows import Generated, GenerationRow, Token
from server.errors import ServerError
from server.tasks.generation.calling import CallReader
from server.tasks.generation.detokenizer import Detokenizer
from server.tasks.generation.stop_strings import CallMarks, StopStrings, ThoughtMarks
from server.tasks.generation.thinking import ThoughtReader
from server.tasks.results import NONE, Choice, Delta, TokenLogprobs, TokenTexts, ToolCall, Usage


class Completion:
    """The state of one choice. Call ``take`` for each token, then ``end``; both return the new text, calls and tokens.

    ``take`` returns None if a token adds nothing yet.
    """

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
        thoughts: ThoughtReader | None = None,
    ) -> None:
        self._index = index
        self._texts = texts
        self._stop_ids = stop_ids
        self._logprobs = logprobs
        self._reader = reader
        shown = reader.shown if thoughts is None else {**thoughts.shown, **reader.shown}
        self._text = Detokenizer(tokenizer, continues_text=continues_text, shown=shown)
        self._thoughts = thoughts.marks() if thoughts is not None else None
        self._undecided: list[Token] = []
        """Tokens at the beginning of the completion, while its text may still be the mark that begins a thought."""
        self.reasoning_tokens = 0
        """Tokens of thought so far."""
        self._stops = StopStrings(stops)
        self._made_characters = 0
        self._sent_characters = 0
        self._waiting: deque[tuple[int, Token]] = deque()
        self._call: str | None = None
        """The text from the token on that began the first call; None before that token."""
        self._marks = CallMarks(reader.marks, only_first=reader.only_first) if reader.marks else None
        self.tokens = 0
        """Completion tokens so far, the stop token included."""
        self.over = False
        """A stop string ended the text, or the model repeated a call: the stream then drops the row."""

    @property
    def calls(self) -> bool:
        """Whether the completion has begun a call."""
        return self._call is not None or (self._marks is not None and self._marks.collected is not None)

    def take(self, token: Token) -> Delta | None:
        """Take one more token. Returns what can be sent now, or None."""
        self.tokens += 1
        if token.id in self._stop_ids:
            return None
        text = self._text.push(token.id)
        if self._thoughts is None:
            return self._answer(text, token)
        return self._think(self._thoughts, text, token)

    def _think(self, marks: ThoughtMarks, text: str, token: Token) -> Delta | None:
        """Take more text of a completion that may have, has or had a thought."""
        if marks.inside is False:
            said = marks.push(text)[1]
            if marks.thought and marks.blank:  # white space between thought and answer belongs to neither
                self.reasoning_tokens += 1
                return None
            return self._answer(said, token)
        thought, text = marks.push(text)
        self._undecided.append(token)
        if marks.inside is None:
            return None
        undecided, self._undecided = self._undecided, []
        if marks.thought:
            self.reasoning_tokens += len(undecided)
            undecided = []
        delta = None
        if text or undecided:
            for token in undecided[:-1]:
                self._wait(token)
            delta = self._answer(text, undecided[-1] if undecided else Token(-1))
        if not thought:
            return delta
        return Delta(self._index, thought=thought) if delta is None else replace(delta, thought=thought)

    def _wait(self, token: Token) -> None:
        if self._logprobs and token.logprob is not None:
            self._waiting.append((self._made_characters, token))

    def _answer(self, text: str, token: Token) -> Delta | None:
        """Take more text of the answer."""
        if token.id == self._reader.call_id and self._call is None:
            self._call = ""
        if self._call is not None:
            self._call += text
            return self._repeated(self._call, len(text))
        self._made_characters += len(text)
        self._wait(token)
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
        """End the choice when its row has ended. Returns the held-back text and the finish reason."""
        rest, thought = self._text.finish(), ""
        if self._thoughts is not None:
            thought, rest = (a + b for a, b in zip(self._thoughts.push(rest), self._thoughts.finish(), strict=True))
            for token in self._undecided:
                self._wait(token)
        delta = self._ended(rest, how)
        return replace(delta, thought=thought) if thought else delta

    def _ended(self, rest: str, how: Generated) -> Delta:
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
            tokens = TokenLogprobs([token for _, token in self._waiting], self._texts)
            return Delta(self._index, text, tokens, finish_reason=how.reason)
        return Delta(self._index, text, self._covered(len(text)), finish_reason="stop")

    def _marked(self, rest: str, *, cut: bool) -> tuple[Sequence[ToolCall] | None, str]:
        """The calls that a mark began, and the rest of the text; None and the whole text if it has no call."""
        if self._marks is None or self._reader.parse is None or self._stops.matched is not None:
            return None, rest
        plain = self._marks.push(rest)
        if self._marks.collected is None:
            return None, plain + self._marks.finish()
        calls = self._reader.parse(self._marks.collected, cut)
        return calls, plain if calls is not None else plain + self._marks.collected

    def _repeated(self, written: str, fresh: int) -> Delta | None:
        """End the turn if the model has made the same call twice, as it would repeat the call without end.

        Args:
            written: the text from the first call on.
            fresh: the number of characters at its end that are new.

        Returns:
            The last delta with each call once, or None if no call is repeated.
        """
        reader = self._reader
        if (
            reader.parse is None
            or not reader.call_ends
            or written.find(reader.call_ends, max(1, len(written) - fresh - len(reader.call_ends))) < 0
        ):
            return None
        calls = reader.parse(written, True) or ()
        once = _each_once(calls)
        if len(once) == len(calls):
            return None
        self.over = True
        return Delta(self._index, calls=once, finish_reason="tool_calls")

    def _covered(self, characters: int) -> TokenLogprobs:
        """Count more characters as sent. Returns the tokens that end within the text sent so far."""
        self._sent_characters += characters
        covered = []
        while self._waiting and self._waiting[0][0] <= self._sent_characters:
            covered.append(self._waiting.popleft()[1])
        return TokenLogprobs(covered, self._texts) if covered else NONE


def _each_once(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls in order, without repetitions of an earlier call with the same arguments."""
    kept: list[ToolCall] = []
    written: set[str] = set()
    for call in calls:
        one = json.dumps([call.name, call.arguments], sort_keys=True)
        if one not in written:
            written.add(one)
            kept.append(call)
    return kept


class GenerationStream:
    """The completions of one request. Iterate it for deltas, or wait for the ``whole``; both give the same text."""

    def __init__(
        self,
        job: Job[GenerationRow, Token, Generated],
        tokenizer: Tokenizer,
        texts: TokenTexts,
        *,
        prompt_tokens: int,
        stop_ids: frozenset[int],
        stops: Sequence[str],
        logprobs: bool,
        reader: CallReader,
        continues_text: bool,
        thoughts: ThoughtReader | None = None,
    ) -> None:
        self._job = job
        self._texts = texts
        self.prompt_tokens: dict[int, TokenLogprobs] = {}
        """With ``prompt_logprobs``: by the index of a choice, all tokens of its prompt except the first. A choice is
        added when it ends."""
        self._prompt_tokens = prompt_tokens
        self._cached_tokens = 0
        self._thinks = thoughts is not None
        self._completions = [
            Completion(
                seat.index,
                tokenizer,
                texts,
                stops,
                stop_ids,
                logprobs=logprobs,
                reader=reader,
                continues_text=continues_text,
                thoughts=thoughts,
            )
            for seat in job.seats
        ]

    @property
    def usage(self) -> Usage:
        """The numbers of prompt, cached, reasoning and completion tokens so far."""
        made = sum(completion.tokens for completion in self._completions)
        thought = sum(completion.reasoning_tokens for completion in self._completions) if self._thinks else None
        return Usage(self._prompt_tokens, made, self._cached_tokens, thought)

    @property
    def timing(self) -> Timing:
        """The times of the job's events so far, in seconds."""
        return self._job.timing

    @property
    def calls(self) -> Sequence[bool]:
        """For each choice, whether it has begun a call."""
        return [completion.calls for completion in self._completions]

    def cancel(self) -> None:
        """Stop decoding all rows, because the client no longer wants them."""
        self._job.cancel()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        """Yield deltas as they come.

        Raises:
            ServerError: a row failed; the others are cancelled.
        """
        try:
            async for event in self._job.events():
                if (delta := self._take(event)) is not None:
                    yield delta
        finally:
            self._job.cancel()

    async def whole(self) -> list[Choice]:
        """Wait for all choices and return them in the order of their indices.

        Raises:
            ServerError: a row failed; the others are cancelled.
        """
        deltas: list[list[Delta]] = [[] for _ in self._completions]
        async for delta in self:
            deltas[delta.index].append(delta)
        return [_choice(index, parts) for index, parts in enumerate(deltas)]

    def _take(self, event: Piece[Token] | Outcome[Generated]) -> Delta | None:
        completion = self._completions[event.index]
        if isinstance(event, Piece):
            if completion.over:  # the engine made this token before it learned that the row was dropped
                return None
            delta = completion.take(event.piece)
            if completion.over:
                self._job.drop(event.index)
            return delta
        if isinstance(event.result, ServerError):
            raise event.result
        self._cached_tokens += event.result.cached_tokens
        if event.result.prompt:
            self.prompt_tokens[event.index] = TokenLogprobs(event.result.prompt, self._texts)
        return completion.end(event.result)


def _choice(index: int, parts: Sequence[Delta]) -> Choice:
    return Choice(
        index,
        "".join(part.text for part in parts),
        TokenLogprobs.joined(part.tokens for part in parts),
        parts[-1].calls,
        parts[-1].finish_reason or "stop",
        "".join(part.thought for part in parts),
    )
