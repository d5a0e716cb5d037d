"""The deltas of a generation request, in the order they come, and what it cost."""

from collections.abc import AsyncIterator, Sequence

from models.tokenizers import Tokenizer
from server.batching.job import Job, Outcome, Piece, Timing
from server.engines.rows import Generated, GenerationRow, Token
from server.errors import ServerError
from server.tasks.call_reader import CallReader
from server.tasks.completion import Completion
from server.tasks.results import Choice, Delta, Usage
from server.tasks.told import TokenTexts, Told


class GenerationStream:
    """Iterate it for deltas, or wait for the ``whole``: the same text either way."""

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
    ) -> None:
        self._job = job
        self._texts = texts
        self.prompt_tokens: dict[int, Told] = {}
        """With ``prompt_logprobs``, by choice and once the choice has ended: its prompt's tokens but the first."""
        self._prompt_tokens = prompt_tokens
        self._cached_tokens = 0
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
            )
            for seat in job.seats
        ]

    @property
    def usage(self) -> Usage:
        """Tokens read and made so far."""
        made = sum(completion.tokens for completion in self._completions)
        return Usage(self._prompt_tokens, made, self._cached_tokens)

    @property
    def timing(self) -> Timing:
        """When things happened so far."""
        return self._job.timing

    def cancel(self) -> None:
        """Nobody wants the rest."""
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
        """Wait for all choices, in the order of their indices."""
        deltas: list[list[Delta]] = [[] for _ in self._completions]
        async for delta in self:
            deltas[delta.index].append(delta)
        return [_choice(index, parts) for index, parts in enumerate(deltas)]

    def _take(self, event: Piece[Token] | Outcome[Generated]) -> Delta | None:
        completion = self._completions[event.index]
        if isinstance(event, Piece):
            delta = completion.take(event.piece)
            if completion.over:
                self._job.drop(event.index)
            return delta
        if isinstance(event.result, ServerError):
            raise event.result
        self._cached_tokens += event.result.cached_tokens
        if event.result.prompt:
            self.prompt_tokens[event.index] = Told(event.result.prompt, self._texts)
        return completion.end(event.result)


def _choice(index: int, parts: Sequence[Delta]) -> Choice:
    return Choice(
        index,
        "".join(part.text for part in parts),
        Told.joined(part.tokens for part in parts),
        parts[-1].calls,
        parts[-1].finish_reason or "stop",
    )
