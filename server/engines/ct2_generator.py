"""Generation through CTranslate2's ``Generator``: a closed loop, the engine for models ours cannot run.

Nobody joins a running batch, and sampling options hold for a whole call (``keys.generator``). What that
loop cannot do exactly for one row (seed, penalties, bias, ``min_tokens``) is not in its ``honours``.
Stops and lengths are per row, through the library's per-token callback; a row that ends frees its place
in the computation at once.
"""

from collections.abc import Sequence
from pathlib import Path

import ctranslate2

from models.vocabulary import read_vocabulary
from server.engines.base import Outbox
from server.engines.ct2_decode import Decode, sampling_options
from server.engines.ct2_open import open_model
from server.engines.kinds import EngineSpec
from server.engines.rows import Generated, GenerationRow, Token


class GeneratorEngine:
    """One decoder model; ``spec.lanes`` replicas share its weights."""

    def __init__(self, spec: EngineSpec) -> None:
        self._vocabulary = read_vocabulary(Path(spec.folder))
        self._generator = open_model(ctranslate2.Generator, spec)

    def run(self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated]) -> None:
        """Decode rows of one key (``keys.generator``) together."""
        first = rows[0]
        shortest = min(len(row.prompt) for row in rows)
        # The tail of a longer prompt is fed a token a step before the row's first callback.
        decode = Decode(rows, out, [len(row.prompt) - shortest for row in rows])
        self._generator.generate_batch(
            [[self._vocabulary[i] for i in row.prompt] for row in rows],
            max_length=max(row.max_tokens for row in rows),
            include_prompt_in_result=False,
            end_token=[],  # rows end by the callback, each by its own ids
            return_scores=first.logprobs is not None,
            **sampling_options(first.sampling),
            callback=decode.token,
            cache_static_prompt=False,
        )
        if decode.error is not None:
            raise decode.error

    def close(self) -> None:
        """Free the model. The library aborts the interpreter's exit if this is left to the end of it."""
        del self._generator
