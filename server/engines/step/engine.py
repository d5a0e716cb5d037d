"""The engine contract for decoders over the compiled core: a loop of steps, each of which rows may join or leave.

This module knows tokens and cache blocks, but no requests, text or processes. The core promises that a row's numbers
never depend on the other rows. So the engine may choose chunks of prompts and batches for speed alone.
"""

import secrets
import threading
import time
from bisect import insort
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import numpy as np

from server.engines.base import Outbox, Room
from server.engines.kinds import EngineSpec
from server.engines.rows import Generated, GenerationRow, Token
from server.engines.step.grammar import Grammars
from server.engines.step.schedule import Live, Share, ahead, plan, room
from server.engines.step.scoring import Scored, Scoring, portions
from server.engines.step.support import config, core, positions, supports
from server.errors import EngineFailed, GrammarTooLarge, ServerError

if TYPE_CHECKING:
    from server.engines.step._core import Decoder

CONTEXT_TOKENS = 2048
CACHE_BYTES = 512 << 20
MAX_ROWS = 64
STALL_S = 0.05
"""The time in seconds that the prompt tokens of one step may take, about, while other rows are decoding."""
BACKGROUND_STALL_S = 0.01
"""The same for prompts of background work: a request that comes meanwhile waits for the end of the step."""
PROMPT_TOKENS = 512
"""The most prompt tokens of one step."""
LEAST_PROMPT_TOKENS = 32


class StepEngine:
    """One decoder model with its weights, its cache and its threads.

    ``spec.options``: ``context_tokens``, ``cache_bytes`` (memory for keys and values; the cache holds at least one
    whole context), ``max_rows`` (the most rows at once) and ``instruction_set`` (one of the core's, for tests; by
    default the best).

    Raises:
        ValueError: this engine cannot serve the model; the message says why.
    """

    def __init__(self, spec: EngineSpec) -> None:
        compiled = core()
        reason = supports(spec.folder)
        if compiled is None or reason is not None:
            raise ValueError(f"The step engine cannot serve {spec.folder}: {reason}")
        context_tokens = int(spec.options.get("context_tokens", CONTEXT_TOKENS))
        learned = positions(spec.folder)
        self._core: Decoder = compiled.Decoder(
            path=f"{spec.folder}/model.bin",
            config=config(spec.folder),
            threads=spec.lane_threads,
            instruction_set=str(spec.options.get("instruction_set", "")),
            context_tokens=context_tokens if learned is None else min(context_tokens, learned),
            cache_bytes=int(spec.options.get("cache_bytes", CACHE_BYTES)),
        )
        self._block_tokens: int = compiled.BLOCK_TOKENS
        self._no_token = compiled.NoToken
        self._grammars = Grammars(spec.folder)
        self._max_rows = int(spec.options.get("max_rows", MAX_ROWS))
        self._lock = threading.Lock()  # one batch at a time, since a second would only wait for the same cores
        self._prompt_tokens_per_s = 0.0

    def run(self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated]) -> None:
        """Decode the rows and all rows that join them, each by its own options."""
        with self._lock:
            live: list[Live] = []
            try:
                self._take_on(rows, 0, live, out)
                given = len(rows)
                while live:
                    self._step(live, out)
                    turn = out.step(self._room(live))
                    for dropped in [one for one in live if one.index in turn.dropped]:
                        self._end(dropped, live)
                    self._take_on(turn.joined, given, live, out)
                    given += len(turn.joined)
            finally:
                while live:
                    self._end(live[0], live)

    @property
    def cache_blocks(self) -> tuple[int, int]:
        """The positions of a cache block, and the number of blocks."""
        return self._block_tokens, self._core.blocks

    def close(self) -> None:
        """Free weights, cache and threads."""
        del self._core

    def _room(self, live: Sequence[Live]) -> Room:
        free = room(live, self._core, self._block_tokens, self._max_rows)
        return replace(free, cache_usage=1 - self._core.available_blocks / self._core.blocks)

    def _take_on(
        self,
        rows: Sequence[GenerationRow],
        first: int,
        live: list[Live],
        out: Outbox[GenerationRow, Token, Generated],
    ) -> None:
        for index, row in enumerate(rows, first):
            try:
                matcher = self._grammars.begin(row)
            except ValueError as error:
                out.done(index, GrammarTooLarge(str(error)))
                continue
            try:
                number = self._open(row)
            except (ValueError, TypeError, OverflowError) as error:
                out.done(index, EngineFailed(detail=f"the core refused the row: {error}"))
                continue
            scoring = None
            if row.score_from is not None and row.score_from < len(row.prompt):
                scoring = Scoring(row.prompt, max(1, row.score_from), row.logprobs or 0)
            new = Live(number, index, row.max_tokens, row.stop_ids, matcher, scoring, background=row.background)
            insort(live, new, key=lambda one: one.rank)

    def _open(self, row: GenerationRow) -> int:
        if len(row.prompt) + row.max_tokens > self._core.context_tokens:
            raise ValueError(f"{len(row.prompt)} + {row.max_tokens} tokens exceed {self._core.context_tokens}")
        s = row.sampling
        return self._core.open(
            row.prompt,
            temperature=s.temperature,
            top_k=s.top_k,
            top_p=s.top_p,
            min_p=s.min_p,
            repetition_penalty=s.repetition_penalty,
            presence_penalty=s.presence_penalty,
            frequency_penalty=s.frequency_penalty,
            bias=list(s.bias.items()),
            seed=secrets.randbits(64) if s.seed is None else s.seed % (1 << 64),
            stop_ids=sorted(row.stop_ids),
            min_tokens=row.min_tokens,
            logprobs=row.logprobs,
            **({} if row.score_from is None else {"scored": max(0, row.score_from - 1)}),
        )

    def _step(self, live: list[Live], out: Outbox[GenerationRow, Token, Generated]) -> None:
        shares = self._score(plan(live, self._core, self._budget(live), self._block_tokens), live, out)
        began_s = time.perf_counter()
        shares, masks = self._masks(shares, live, out)
        if not shares:
            return
        ids, reports = self._core.step([share.live.row for share in shares], [share.count for share in shares], masks)
        self._learn_speed(shares, time.perf_counter() - began_s)
        for i, (share, token) in enumerate(zip(shares, ids, strict=True)):
            if token == self._no_token.PROMPT_PENDING:
                continue
            one = share.live
            if token == self._no_token.NONE_ALLOWED:
                self._fail(one, EngineFailed("no token can be chosen: all are banned, or logits are NaN"), live, out)
                continue
            report = reports.get(i)
            out.piece(one.index, Token(token) if report is None else Token(token, *report))
            one.left_tokens -= 1
            if token in one.stop_ids or one.left_tokens <= 0:
                self._finish(one, "stop" if token in one.stop_ids else "length", live, out)
            elif one.matcher is not None:
                try:
                    one.matcher.take(token)
                    forced = one.matcher.forced() if report is None else ()
                except ValueError as error:
                    self._fail(one, GrammarTooLarge(str(error)), live, out)
                else:
                    self._force(one, forced[: one.left_tokens], live, out)

    def _masks(
        self, shares: Sequence[Share], live: list[Live], out: Outbox[GenerationRow, Token, Generated]
    ) -> tuple[list[Share], dict[int, bytes]]:
        """The shares that remain, and the masks of their grammars by the share's index among them.

        A row fails and loses its share if its grammar needs more than the library's limits.
        """
        kept: list[Share] = []
        masks = {}
        for share in shares:
            one = share.live
            if one.matcher is not None and share.count == self._core.pending(one.row):
                try:
                    mask = one.matcher.mask()
                    if mask is not None:
                        masks[len(kept)] = mask
                except ValueError as error:
                    self._fail(one, GrammarTooLarge(str(error)), live, out)
                    continue
            kept.append(share)
        return kept, masks

    def _force(
        self, one: Live, forced: Sequence[int], live: list[Live], out: Outbox[GenerationRow, Token, Generated]
    ) -> None:
        """Append the tokens that the grammar forces. The core then reads them in one step, as it reads a prompt."""
        if not forced:
            return
        self._core.append(one.row, forced)
        for token in forced:
            out.piece(one.index, Token(token))
        one.left_tokens -= len(forced)
        if forced[-1] in one.stop_ids or one.left_tokens <= 0:
            self._finish(one, "stop" if forced[-1] in one.stop_ids else "length", live, out)

    def _score(
        self, shares: Sequence[Share], live: list[Live], out: Outbox[GenerationRow, Token, Generated]
    ) -> list[Share]:
        """Compute the shares of prompts that are being scored. Returns the shares of the ordinary step."""
        others = []
        scored: list[Scored] = []
        for share in shares:
            one, scoring = share.live, share.live.scoring
            pending = self._core.pending(one.row)
            before, count = scoring.unscored(pending) if scoring is not None else (0, 0)
            if before > 0:
                others.append(Share(one, min(share.count, before)))
            elif scoring is not None and count > 0:
                scored.append(Scored(scoring, one.row, pending, min(share.count, count)))
            elif one.left_tokens > 0:
                others.append(share)
            else:
                self._finish(one, "length", live, out)
        for portion in portions(scored):
            logits = self._core.logits([part.row for part in portion], [part.count for part in portion])
            ends = list(accumulate(part.count for part in portion))
            for part, values in zip(portion, np.split(logits, ends[:-1]), strict=True):
                part.scoring.take(part.pending, values)
        return others

    def _finish(
        self,
        one: Live,
        reason: Literal["stop", "length"],
        live: list[Live],
        out: Outbox[GenerationRow, Token, Generated],
    ) -> None:
        cached_tokens = self._core.cached(one.row)
        self._end(one, live)
        out.done(one.index, Generated(reason, cached_tokens, one.scoring.result() if one.scoring else ()))

    def _fail(
        self, one: Live, error: ServerError, live: list[Live], out: Outbox[GenerationRow, Token, Generated]
    ) -> None:
        self._end(one, live)
        out.done(one.index, error)

    def _end(self, one: Live, live: list[Live]) -> None:
        live.remove(one)
        self._core.close(one.row)

    def _budget(self, live: Sequence[Live]) -> int:
        asked = ahead(live, self._core)
        decoding = sum(one.admitted and self._core.pending(one.row) == 1 for one in asked or live)
        if self._prompt_tokens_per_s == 0 or (decoding == 0 and (asked or not live[-1].background)):
            return decoding + PROMPT_TOKENS
        stall_s = STALL_S if asked or not live[-1].background else BACKGROUND_STALL_S
        fitting = int(self._prompt_tokens_per_s * stall_s)
        return decoding + min(max(fitting, LEAST_PROMPT_TOKENS), PROMPT_TOKENS)

    def _learn_speed(self, shares: Sequence[Share], took_s: float) -> None:
        tokens = sum(share.count for share in shares)
        if tokens >= LEAST_PROMPT_TOKENS and tokens > 2 * len(shares):
            speed = tokens / took_s
            old = self._prompt_tokens_per_s
            self._prompt_tokens_per_s = speed if old == 0 else 0.8 * old + 0.2 * speed
