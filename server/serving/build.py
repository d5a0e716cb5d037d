"""Builds a model's engine and queue from its card: the kind, the lanes, the size of batches. Starts nothing."""

from typing import Any

from models.registry import ModelCard
from models.tokenizers import load_tokenizer
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines.kinds import KINDS, EngineSpec
from server.engines.process.supervisor import ProcessEngine
from server.engines.step.support import is_own, supports, supports_translator
from server.metrics import Metrics
from server.settings import Settings
from server.tasks.model import Model

PROCESS_BYTES = 30_000_000
"""Bytes that an engine process holds besides a model: the interpreter, numpy and the engine's library, shared pages
counted once. Measured for each engine on the shipped models: 22 to 27 MB."""


def build_model(card: ModelCard, settings: Settings, cores: CoreBudget, metrics: Metrics) -> Model:
    """The tokenizer, the engine and the queue of one model; nothing is started."""
    spec, limits, _ = engine_for(card, cores.cores, settings.batch_rows)
    observer = metrics.of(card.id)
    engine = ProcessEngine(spec, observer)
    batcher: Batcher[Any, Any, Any] = Batcher(
        engine,
        KINDS[spec.kind],
        limits,
        cores=cores,
        observer=observer,
        lanes=spec.lanes,
        lane_cores=spec.lane_threads,
        waiting_rows=settings.queue_rows,
        waiting_tokens=settings.queue_tokens,
        name=card.id,
    )
    return Model(card, load_tokenizer(card), engine, batcher, spec.kind)


def engine_for(card: ModelCard, cores: int, batch_rows: int) -> tuple[EngineSpec, Limits, str]:
    """Which engine serves a model, in how many lanes, how large its batches grow, and why, for people to read.

    Measured on two cores (``load_tests/RESULTS.md``): encoders and translators do most with a lane of one
    thread on each core, since threads of one lane wait for each other at every layer; encoders with small
    batches, since those stay in the core's cache.
    """
    folder, digests = str(card.folder), dict(card.files)
    if card.task == "translation" and (reason := supports_translator(folder)) is None:
        options = {"max_rows": batch_rows}
        spec = EngineSpec("step-translator", folder, lanes=cores, options=options, digests=digests)
        return spec, Limits(rows=batch_rows, tokens=4096), "our decode engine"
    if card.task == "translation" or (card.generation is not None and card.generation.max_target_tokens is not None):
        kind = "ct2-translator" if card.task == "translation" else "ct2-seq2seq"
        spec = EngineSpec(kind, folder, lanes=cores, digests=digests)
        return spec, Limits(rows=batch_rows, tokens=4096), "encoder-decoders are CTranslate2's own job"
    if card.task == "generation":
        if (reason := supports(folder)) is None:
            options = {"context_tokens": card.context_length_tokens, "max_rows": batch_rows}
            spec = EngineSpec("step", folder, lanes=1, lane_threads=cores, options=options, digests=digests)
            return spec, Limits(rows=batch_rows, tokens=batch_rows * card.context_length_tokens), "our decode engine"
        exact = card.generation.closed_loop_tokens if card.generation is not None else None
        if is_own(folder) or (exact is not None and exact < card.context_length_tokens):
            how_far = f"computes it for {exact} tokens only" if exact else "does not compute it"
            raise ValueError(f"CTranslate2's own loop {how_far}, and ours does not: {reason}")
        spec = EngineSpec("ct2-generator", folder, lanes=1, lane_threads=cores, digests=digests)
        return spec, Limits(rows=batch_rows, tokens=16_384, length_tolerance=16), f"not our decode engine: {reason}"
    if card.family == "decoder":
        spec = EngineSpec("ct2-decoder-encoder", folder, lanes=1, lane_threads=cores, digests=digests)
        return spec, Limits(rows=8, tokens=4096), "a decoder's hidden states are CTranslate2's job"
    if card.family == "static":
        spec = EngineSpec("static", folder, lanes=1, digests=digests)
        return spec, Limits(rows=batch_rows, tokens=16_384), "a table of vectors needs no engine of a library"
    spec = EngineSpec("ct2-encoder", folder, lanes=cores, digests=digests)
    return spec, Limits(rows=8, tokens=1024), "encoders are CTranslate2's own job"


def estimate_bytes(card: ModelCard) -> int:
    """Bytes that a model's engine process will hold, before it is measured: those of its files and of a process."""
    files = (card.path(name) for name in card.files)
    return PROCESS_BYTES + sum(file.stat().st_size for file in files if file.exists())
