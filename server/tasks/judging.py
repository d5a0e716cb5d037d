"""Ranks documents by a decoder that reads a query with a document and answers yes or no (Qwen3-Reranker).

The number of a pair is the difference of the two answers' logits, so the score is the probability of yes among the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.cards import JudgeSpec
from models.tokenizers import Form, Pair, Special, Tokenizer
from server.batching.job import Outcome, Timing
from server.engines.rows import GenerationRow, Sampling, Token, read_top
from server.errors import ServerError, UnsupportedParameter
from server.tasks.model import Model
from server.tasks.offload import offload
from server.tasks.ranking import PairRanker
from server.tasks.results import Done, Usage

ONLY = 100.0
"""Added to the logits of both answers, so that they are the two likeliest tokens; their difference stays."""
DOCUMENT = "<Document>:"


class Judge(PairRanker):
    """Ranks by a decoder's answers."""

    def __init__(self, model: Model, spec: JudgeSpec) -> None:
        super().__init__(model)
        self._instruction = spec.instruction
        tokenizer = model.tokenizer
        self._yes, self._no = tokenizer.id(spec.yes), tokenizer.id(spec.no)
        self._begin, self._end = (_written(tokenizer, text) for text in (spec.begin, spec.end))
        self._label = tokenizer.encode(DOCUMENT)

    @property
    def row_tokens(self) -> int:
        """The most tokens of a row: the answer shares the context."""
        return self.card.context_length_tokens - 1

    def pairs(self, query: str, documents: Sequence[str]) -> list[Pair]:
        """The query with each document, in the form that the model was trained with.

        The tokens of ``<Document>:`` stand between the two texts, so that each window of a long document has them.
        """
        encode, label = self._model.tokenizer.encode, self._label
        first = encode(f"<Instruct>: {self._instruction}\n<Query>: {query}\n")
        pairs = []
        for document in documents:
            ids = encode(f"{DOCUMENT} {document}")
            between = label if ids[: len(label)] == label else []
            pairs.append(Pair(first, ids[len(between) :], self._form(between)))
        return pairs

    async def logits(self, prepare: Callable[[], Sequence[Pair]], size: int) -> Done[float]:
        """The numbers of the pairs. The first pair runs before the others, which then find the query in the cache.

        Raises:
            UnsupportedParameter: the model's engine cannot compare two answers.
        """
        self._model.require_ready()
        if not {"logit_bias", "top_logprobs"} <= self._model.engine.honours:
            why = f"'{self.card.id}' runs on an engine that cannot compare two answers; our decode engine can."
            raise UnsupportedParameter("model", why)
        rows = await offload(lambda: [self._row(pair) for pair in prepare()], size)
        found: list[float] = []
        cached, timings = 0, []
        for part in filter(None, (rows[:1], rows[1:])):
            numbers, known, timing = await self._answers(part)
            found, cached = found + numbers, cached + known
            timings.append(timing)
        timing = replace(timings[0], ended_s=timings[-1].ended_s, batch_rows=max(each.batch_rows for each in timings))
        return Done(found, Usage(sum(len(row.prompt) for row in rows), len(rows), cached), timing)

    async def _answers(self, rows: Sequence[GenerationRow]) -> tuple[list[float], int, Timing]:
        """The numbers of the rows, the tokens that were found in the cache, and the times."""
        job = self._model.batcher.submit(rows)
        numbers, cached = [0.0] * len(rows), 0
        try:
            async for event in job.events():
                if not isinstance(event, Outcome):
                    numbers[event.index] = self._difference(event.piece)
                elif isinstance(event.result, ServerError):
                    raise event.result
                else:
                    cached += event.result.cached_tokens
        finally:
            job.cancel()
        return numbers, cached, job.timing

    def _form(self, between: list[int]) -> Form:
        kinds = ([0] * len(ids) for ids in (self._begin, between, self._end))
        before, middle, after = kinds
        return Form(self._begin, between, self._end, (before, 0, middle, 0, after))

    def _row(self, pair: Pair) -> GenerationRow:
        sampling = Sampling(temperature=0, bias={self._yes: ONLY, self._no: ONLY})
        return GenerationRow(pair.ids, max_tokens=1, sampling=sampling, logprobs=2)

    def _difference(self, token: Token) -> float:
        logprobs = dict(zip(*read_top(token.top), strict=True))
        return logprobs[self._yes] - logprobs[self._no]


def _written(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a part of the prompt, in which control tokens are written as their strings."""
    names = {*tokenizer.special_tokens, *tokenizer.marks}
    parts: list[Special | str] = []
    at = 0
    for i in range(len(text)):
        found = max((name for name in names if i >= at and text.startswith(name, i)), key=len, default="")
        if found:
            parts += [text[at:i], Special(found)]
            at = i + len(found)
    return tokenizer.encode_with_specials([part for part in (*parts, text[at:]) if part])
