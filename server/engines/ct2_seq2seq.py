"""Answers of an encoder-decoder (T5) through CTranslate2's ``Translator``, a token at a time.

The prompt is what the encoder reads; the answer begins where the decoder does. Otherwise it is the closed loop of
`ct2_generator`, with the same limits: nobody joins a running batch, and sampling options hold for a whole call.
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


class Seq2SeqEngine:
    """One encoder-decoder model; ``spec.lanes`` replicas share its weights."""

    def __init__(self, spec: EngineSpec) -> None:
        self._vocabulary = read_vocabulary(Path(spec.folder))
        self._translator = open_model(ctranslate2.Translator, spec)

    def run(self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated]) -> None:
        """Decode rows of one key (``keys.seq2seq``) together."""
        first = rows[0]
        decode = Decode(rows, out, [0] * len(rows))
        self._translator.translate_batch(
            [[self._vocabulary[i] for i in row.prompt] for row in rows],
            beam_size=1,
            max_decoding_length=max(row.max_tokens for row in rows),
            min_decoding_length=0,
            max_input_length=0,  # the library would cut silently; lengths were checked before the row was queued
            end_token=[],  # rows end by the callback, each by its own ids
            return_scores=first.logprobs is not None,
            **sampling_options(first.sampling),
            callback=decode.token,
        )
        if decode.error is not None:
            raise decode.error

    def close(self) -> None:
        """Free the model."""
        del self._translator
