"""Likelihoods of given answers after a generator's prompt: nothing is decoded, so they are the same each time.

The engine computes a prefix that rows share only once. For that callers send one row of each prefix before the others.
"""

from collections.abc import Iterable, Iterator, Sequence

from server.batching.job import Timing
from server.engines.rows import GenerationRow
from server.errors import UnsupportedParameter
from server.tasks.model import Model
from server.tasks.results import Usage

PORTION_ROWS, PORTION_TOKENS = 64, 50_000
"""The most rows and tokens of one request in the queue at once, so that hundreds of questions do not fill the queue."""

Row = tuple[tuple[int, ...], int]
"""A prompt's token ids with those of an answer, and the index of the answer's first token."""


class Likelihoods:
    """The log-likelihoods of the rows of one request, each computed once."""

    def __init__(self, model: Model) -> None:
        """Begin.

        Raises:
            Unavailable: the model has failed or is no longer served.
            UnsupportedParameter: the model's engine cannot score prompts.
        """
        model.require_ready()
        if "prompt_logprobs" not in model.engine.honours:
            why = f"'{model.id}' runs on an engine that cannot score answers exactly; another model can."
            raise UnsupportedParameter("model", why)
        self._model = model
        self._sums: dict[Row, float] = {}
        self._timings: list[Timing] = []
        self._read = self._cached = 0

    async def add(self, rows: Iterable[Row]) -> None:
        """Compute the rows that are not known yet, in portions that run one after another.

        Raises:
            Overloaded, TooLarge: as ``Batcher.submit``.
        """
        for portion in _portions(row for row in dict.fromkeys(rows) if row not in self._sums):
            job = self._model.batcher.submit(
                [GenerationRow(ids, max_tokens=0, score_from=start) for ids, start in portion]
            )
            try:
                results = await job.results()
            finally:
                job.cancel()
            self._timings.append(job.timing)
            for row, result in zip(portion, results, strict=True):
                self._sums[row] = sum(token.logprob or 0.0 for token in result.prompt)
                self._read += len(row[0])
                self._cached += result.cached_tokens

    def sum(self, row: Row) -> float:
        """The log-likelihood of a row's answer."""
        return self._sums[row]

    def mean(self, row: Row) -> float:
        """The mean log-likelihood of the tokens of a row's answer."""
        ids, start = row
        return self._sums[row] / (len(ids) - start)

    @property
    def usage(self) -> Usage:
        """The tokens of all rows."""
        return Usage(self._read, 0, self._cached)

    @property
    def timing(self) -> Timing:
        """The times of all portions together."""
        first, last = self._timings[0], self._timings[-1]
        most = max(timing.batch_rows for timing in self._timings)
        return Timing(first.queued_s, first.taken_s, first.first_s, last.ended_s, most)


def _portions(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    portion: list[Row] = []
    tokens = 0
    for row in rows:
        if portion and (len(portion) == PORTION_ROWS or tokens + len(row[0]) > PORTION_TOKENS):
            yield portion
            portion, tokens = [], 0
        portion.append(row)
        tokens += len(row[0])
    if portion:
        yield portion
