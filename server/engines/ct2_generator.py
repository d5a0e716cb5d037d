"""Generation through CTranslate2's ``Generator``: a closed loop, the engine for models ours cannot run.

Nobody joins a running batch, and sampling options hold for a whole call (``keys.generator``). What that
loop cannot do exactly for one row (seed, penalties, bias, ``min_tokens``) is not in its ``honours``.
Stops and lengths are per row, through the library's per-token callback; a row that ends frees its place
in the computation at once.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2

from server.engines.base import Outbox
from server.engines.kinds import GENERATOR_PARAMETERS, EngineSpec
from server.engines.rows import Generated, GenerationRow, Token


class GeneratorEngine:
    """One decoder model; ``spec.lanes`` replicas share its weights."""

    honours: frozenset[str] = GENERATOR_PARAMETERS

    def __init__(self, spec: EngineSpec) -> None:
        self._vocabulary: list[str] = json.loads((Path(spec.folder) / "vocabulary.json").read_text("utf-8"))
        self._generator: Any = ctranslate2.Generator(
            spec.folder,
            device="cpu",
            compute_type="default",  # as it was converted: int8, or float32 for who asked for that
            inter_threads=spec.lanes,
            intra_threads=spec.lane_threads,
            max_queued_batches=-1,
        )

    def run(self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated]) -> None:
        """Decode rows of one key (``keys.generator``) together."""
        first = rows[0]
        decode = _Decode(rows, out)
        sampling = first.sampling
        greedy = sampling.temperature == 0 or sampling.top_k == 1
        self._generator.generate_batch(
            [[self._vocabulary[i] for i in row.prompt] for row in rows],
            max_length=max(row.max_tokens for row in rows),
            include_prompt_in_result=False,
            end_token=[],  # rows end by the callback, each by its own ids
            return_scores=first.logprobs is not None,
            sampling_topk=1 if greedy else sampling.top_k,
            sampling_topp=1 if greedy else sampling.top_p,
            sampling_temperature=1 if greedy else sampling.temperature,
            callback=decode.token,
            cache_static_prompt=False,
        )
        if decode.error is not None:
            raise decode.error

    def close(self) -> None:
        """Free the model. The library aborts the interpreter's exit if this is left to the end of it."""
        del self._generator


class _Decode:
    """The state of one call, driven by the library's callback: once a live row, then the next step."""

    def __init__(self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated]) -> None:
        self.error: Exception | None = None
        self._rows = rows
        self._out = out
        self._made = [0] * len(rows)
        shortest = min(len(row.prompt) for row in rows)
        # The tail of a longer prompt is fed a token a step before the row's first callback.
        self._begins = [len(row.prompt) - shortest for row in rows]
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
