"""The kinds of engine: one line each. Nothing is imported until an engine is built.

The HTTP process knows a kind's ``key`` and ``tokens`` (to batch) and what it honours (to refuse by name);
only the engine process loads the library behind it.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from server.engines import keys
from server.engines.base import Engine

GENERATOR_PARAMETERS = frozenset({"temperature", "top_k", "top_p", "stop", "logprobs", "ignore_eos"})
STEP_PARAMETERS = GENERATOR_PARAMETERS | {
    "frequency_penalty",
    "grammar",
    "logit_bias",
    "min_p",
    "min_tokens",
    "presence_penalty",
    "prompt_logprobs",
    "repetition_penalty",
    "seed",
    "top_logprobs",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of an engine without loading it."""

    path: str
    """module:class; the class takes an ``EngineSpec``."""
    key: Callable[[Any], Hashable]
    tokens: Callable[[Any], int]
    honours: frozenset[str] = frozenset()
    """Request parameters that it serves exactly."""


KINDS: Mapping[str, Kind] = {
    "fake": Kind("server.engines.fake:FakeEngine", keys.fake, keys.fake_tokens),
    "step": Kind("server.engines.step.engine:StepEngine", keys.step, keys.generation_tokens, STEP_PARAMETERS),
    "ct2-generator": Kind(
        "server.engines.ct2_generator:GeneratorEngine", keys.generator, keys.generation_tokens, GENERATOR_PARAMETERS
    ),
    "ct2-seq2seq": Kind(
        "server.engines.ct2_seq2seq:Seq2SeqEngine", keys.seq2seq, keys.generation_tokens, GENERATOR_PARAMETERS
    ),
    "ct2-translator": Kind("server.engines.ct2_translator:TranslatorEngine", keys.translator, keys.translation_tokens),
    "ct2-encoder": Kind("server.engines.ct2_encoder:EncoderEngine", keys.encoder, keys.encoder_tokens),
}


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """All an engine process needs to build its engine."""

    kind: str
    folder: str = ""
    lanes: int = 1
    """How many ``run`` calls go on at once."""
    lane_threads: int = 1
    """How many threads one of them computes with."""
    options: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 that files of the folder must have before they are loaded."""

    @property
    def name(self) -> str:
        """What to call it in logs and in the list of processes."""
        return Path(self.folder).name or self.kind

    def build(self) -> Engine[Any, Any, Any]:
        """Load the engine; whatever goes wrong comes out as the library's exception."""
        module, name = KINDS[self.kind].path.split(":")
        engine: Engine[Any, Any, Any] = getattr(import_module(module), name)(self)
        return engine
