"""What CTranslate2's two loops that make tokens have in common: one call's options, its callback, its rows' ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from server.engines.base import Outbox
from server.engines.rows import Generated, GenerationRow, Sampling, Token


def sampling_options(sampling: Sampling) -> Mapping[str, Any]:
    """The library's options for it."""
    greedy = sampling.temperature == 0 or sampling.top_k == 1
    return {
        "sampling_topk": 1 if greedy else sampling.top_k,
        "sampling_topp": 1 if greedy else sampling.top_p,
        "sampling_temperature": 1 if greedy else sampling.temperature,
    }


class Decode:
    """The state of one call, driven by the library's callback: once a live row, then the next step."""

    def __init__(
        self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated], begins: Sequence[int]
    ) -> None:
        """Begin a call.

        Args:
            rows: its rows.
            out: where their tokens go.
            begins: the step with which each row's first callback comes.
        """
        self.error: Exception | None = None
        self._rows = rows
        self._out = out
        self._made = [0] * len(rows)
        self._begins = begins
        self._live = set(range(len(rows)))
        self._dropped: set[int] = set()
        self._step = 0
        self._expected = self._count()

    def token(self, result: Any) -> bool:
        """Take one token of one row; True ends the row.

        It must not raise: an exception that leaves a callback can end the process.
        """
        try:
            return self._take(result.batch_id, result.token_id, result.log_prob)
        except Exception as error:
            self.error = error
            return True

    def _take(self, row: int, token_id: int, logprob: float | None) -> bool:
        asked = self._rows[row]
        over = self.error is not None or row in self._dropped
        if not over:
            self._made[row] += 1
            self._out.piece(row, Token(token_id, logprob))
            if token_id in asked.stop_ids:
                self._out.done(row, Generated("stop"))
                over = True
            elif self._made[row] == asked.max_tokens:
                self._out.done(row, Generated("length"))
                over = True
        if over:
            self._live.discard(row)
        self._expected -= 1
        if self._expected == 0:
            self._dropped.update(self._out.step().dropped)
            self._step += 1
            self._expected = self._count()
        return over

    def _count(self) -> int:
        """How many callbacks the next step makes."""
        return sum(self._begins[row] <= self._step for row in self._live)
