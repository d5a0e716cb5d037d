"""Engines over CTranslate2: encoders, translators, encoder-decoders for generation (T5), and decoders."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt

from models.convert.tensors.base import WeightFile
from models.convert.tensors.ctranslate2 import read_model_file
from models.vocabulary import read_vocabulary
from server.engines.base import Outbox
from server.engines.kinds import EngineSpec
from server.engines.rows import (
    Encoded,
    EncoderRow,
    Generated,
    GenerationRow,
    Hypothesis,
    Sampling,
    Token,
    Translated,
    TranslationRow,
)


def open_model(library: Callable[..., Any], spec: EngineSpec) -> Any:
    """Open a model as the library's ``Generator``, ``Translator`` or ``Encoder``; all lanes share its weights."""
    return library(
        spec.folder,
        device="cpu",
        compute_type="default",  # as the model was converted: int8, or float32 on request
        inter_threads=spec.lanes,
        intra_threads=spec.lane_threads,
        max_queued_batches=-1,
    )


def sampling_options(sampling: Sampling) -> Mapping[str, Any]:
    """The library's options for a row's sampling."""
    greedy = sampling.temperature == 0 or sampling.top_k == 1
    return {
        "sampling_topk": 1 if greedy else sampling.top_k,
        "sampling_topp": 1 if greedy else sampling.top_p,
        "sampling_temperature": 1 if greedy else sampling.temperature,
    }


class Decode:
    """The state of one call of the library, which calls ``token`` once for each live row in each step."""

    def __init__(
        self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated], begins: Sequence[int]
    ) -> None:
        """Begin a call.

        Args:
            rows: the rows of the call.
            out: the outbox for their tokens.
            begins: for each row the step in which the library first calls ``token`` for it.
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
        """Take one token of one row. Returns True to end the row.

        An exception that leaves a callback can end the process, so it is kept in ``error``.
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
        """The number of callbacks in the next step."""
        return sum(self._begins[row] <= self._step for row in self._live)


class EncoderEngine:
    """One encoder model; ``spec.lanes`` replicas share its weights."""

    def __init__(self, spec: EngineSpec) -> None:
        config = json.loads((Path(spec.folder) / "config.json").read_text("utf-8"))
        self._positions_as_types = bool(config.get("positions_as_types"))
        self._has_types = not self._positions_as_types and _kinds_of_text(Path(spec.folder)) > 1
        self._encoder = open_model(ctranslate2.Encoder, spec)
        self._layer = _layer_of(Path(spec.folder) / spec.options["layer"]) if "layer" in spec.options else None

    def run(self, rows: Sequence[EncoderRow], out: Outbox[EncoderRow, None, Encoded]) -> None:
        """Encode the rows together and pool each over its own tokens.

        Padded positions of the hidden state hold copies of the last valid token, not zeros, so each row is pooled over
        its own length.
        """
        ids = [list(row.ids) for row in rows]
        types = None
        if self._positions_as_types:
            types = [list(range(len(row))) for row in ids]
        elif self._has_types and any(row.types for row in rows):
            types = [list(row.types) or [0] * len(row.ids) for row in rows]
        output = self._encoder.forward_batch(ids, token_type_ids=types)
        hidden = np.asarray(output.last_hidden_state)
        if self._layer is not None:
            weight, bias = self._layer
            hidden = np.einsum("rtd,ld->rtl", hidden, weight) + bias  # on this thread alone, as the lane's model is
        _pool(hidden, rows, out)

    def close(self) -> None:
        """Free the model."""
        del self._encoder


def _layer_of(file: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """A linear layer on each token's hidden state: its logits are less to send than the states are."""
    with np.load(file, allow_pickle=False) as arrays:
        return np.asarray(arrays["weight"], np.float32), np.asarray(arrays["bias"], np.float32)


def _kinds_of_text(folder: Path) -> int:
    """The number of kinds of text that an encoder has vectors for: RoBERTa has one, although its pairs state two."""
    file = WeightFile(folder / "model.bin")
    try:
        table = read_model_file(file).tensors.get("encoder/embeddings_1/weight")
        return 1 if table is None else table.shape[0]
    finally:
        file.close()


def _pool(hidden: npt.NDArray[np.float32], rows: Sequence[EncoderRow], out: Outbox[EncoderRow, None, Encoded]) -> None:
    for i, row in enumerate(rows):
        states = hidden[i, : len(row.ids)]
        if row.pooling == "mean":
            out.done(i, Encoded(states.mean(axis=0)))
        elif row.pooling == "none":
            out.done(i, Encoded(states.copy()))
        else:
            out.done(i, Encoded(states[0 if row.pooling == "cls" else -1].copy()))


class DecoderEncoder:
    """An embedding model of a decoder's layers. The last layer is the unit matrix, so logits are hidden states."""

    def __init__(self, spec: EngineSpec) -> None:
        self._generator = open_model(ctranslate2.Generator, spec)

    def run(self, rows: Sequence[EncoderRow], out: Outbox[EncoderRow, None, Encoded]) -> None:
        """Encode the rows together and pool each over its own tokens."""
        _pool(np.asarray(self._generator.forward_batch([list(row.ids) for row in rows])), rows, out)

    def close(self) -> None:
        """Free the model."""
        del self._generator


class GeneratorEngine:
    """One decoder model; ``spec.lanes`` replicas share its weights."""

    def __init__(self, spec: EngineSpec) -> None:
        self._vocabulary = read_vocabulary(Path(spec.folder))
        self._generator = open_model(ctranslate2.Generator, spec)

    def run(self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated]) -> None:
        """Decode rows of one key (``keys.generator``) together."""
        first = rows[0]
        shortest = min(len(row.prompt) for row in rows)
        # The library reads the tail of a longer prompt one token a step, before the row's first callback.
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
        """Free the model. The library aborts the process if the model is still there when the interpreter exits."""
        del self._generator


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


class TranslatorEngine:
    """One encoder-decoder model; ``spec.lanes`` replicas share its weights."""

    def __init__(self, spec: EngineSpec) -> None:
        self._translator = open_model(ctranslate2.Translator, spec)

    def run(self, rows: Sequence[TranslationRow], out: Outbox[TranslationRow, None, Translated]) -> None:
        """Translate rows of one key (``keys.translator``) together."""
        first = rows[0]
        prefixes = [list(row.target_prefix) for row in rows]
        results = self._translator.translate_batch(
            [list(row.source) for row in rows],
            target_prefix=prefixes if any(prefixes) else None,
            beam_size=first.beam_size,
            num_hypotheses=first.hypotheses,
            max_decoding_length=first.max_tokens + len(first.target_prefix),
            max_input_length=0,  # the library would cut silently; lengths were checked before the row was queued
            repetition_penalty=first.repetition_penalty,
            no_repeat_ngram_size=first.no_repeat_ngram,
            return_scores=True,
            return_attention=first.alignment,
        )
        for i, result in enumerate(results):
            attention = result.attention if first.alignment else [()] * len(result.hypotheses)
            scored = zip(result.hypotheses, result.scores, attention, strict=True)
            given = len(rows[i].target_prefix)
            out.done(i, Translated([_hypothesis(*each, given) for each in scored]))

    def close(self) -> None:
        """Free the model."""
        del self._translator


def _hypothesis(tokens: Sequence[str], score: float, attention: Sequence[Sequence[float]], given: int) -> Hypothesis:
    """A hypothesis of the library, without the ``given`` tokens of the target prefix.

    The library's score is the mean log-probability, because its default length penalty is 1. Its attention has one row
    for each target token, over the source's tokens: the mean of the last layer's heads. The hypothesis keeps only the
    place of each row's maximum, since it goes over a pipe.
    """
    alignment = tuple(max(range(len(row)), key=row.__getitem__) for row in attention[given:])
    return Hypothesis(tuple(tokens[given:]), score if math.isfinite(score) else -math.inf, alignment)
