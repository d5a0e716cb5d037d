"""The kinds of engine, one line each. No engine's library is imported before an engine is built.

The HTTP process uses a kind's ``key`` and ``tokens`` to batch rows, and its ``honours`` to refuse parameters by name.
Only the engine process loads the kind's library.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from server.engines.rows import EncoderRow, GenerationRow, TranslationRow

if TYPE_CHECKING:
    from server.engines.fake import FakeRow
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from server.engines import kinds
from server.engines.base import Engine


def generator(row: GenerationRow) -> Hashable:
    """The batching key of a decoder's row: CTranslate2's ``generate_batch`` takes one set of sampling options a call.

    A prompt of one token must not share a call with longer prompts. The results of the others would then begin with
    their prompts, because ``return_prefix`` stays set if the library forwards nothing before it decodes.
    """
    return seq2seq(row), len(row.prompt) == 1


def seq2seq(row: GenerationRow) -> Hashable:
    """The batching key of an encoder-decoder's row: its sampling options. Prompts of any length may share a call."""
    s = row.sampling
    greedy = s.temperature == 0 or s.top_k == 1
    options = () if greedy else (s.temperature, s.top_k, s.top_p)
    return options, row.logprobs is not None


def step(row: GenerationRow | TranslationRow) -> Hashable:
    """The batching key of the step engine: always the same, since it decodes each row by the row's own options."""
    return ()


def generation_tokens(row: GenerationRow) -> int:
    """The size of a generation row in tokens: the length of its prompt."""
    return len(row.prompt)


def translator(row: TranslationRow) -> Hashable:
    """The batching key of a translator's row: the options of a whole call, and the length of the target prefix."""
    options = row.repetition_penalty, row.no_repeat_ngram, row.alignment, len(row.target_prefix)
    return row.beam_size, row.hypotheses, row.max_tokens, *options


def translation_tokens(row: TranslationRow) -> int:
    """The size of a translation row in tokens: the length of its source. The target has about the same length."""
    return len(row.source)


def encoder(row: EncoderRow) -> Hashable:
    """The batching key of an encoder's row: always the same, so any rows share a call."""
    return ()


def encoder_tokens(row: EncoderRow) -> int:
    """The size of an encoder's row in tokens."""
    return len(row.ids)


def fake(row: "FakeRow") -> Hashable:
    """The batching key of a fake row, which a test has put into it."""
    return row.key


def fake_tokens(row: "FakeRow") -> int:
    """The size of a fake row in tokens, which a test has put into it."""
    return row.tokens


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
    "thinking_budget",
    "top_logprobs",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """The properties of an engine that are known before it is loaded."""

    path: str
    """``module:class``; the class takes an ``EngineSpec``."""
    key: Callable[[Any], Hashable]
    tokens: Callable[[Any], int]
    honours: frozenset[str] = frozenset()
    """The request parameters that the engine serves exactly."""
    has_cache: bool = False
    """Whether the engine has a cache of blocks of keys and values, finds prefixes in it, and has ``cache_blocks``."""


KINDS: Mapping[str, Kind] = {
    "fake": Kind("server.engines.fake:FakeEngine", kinds.fake, kinds.fake_tokens),
    "step": Kind("server.engines.step.engine:StepEngine", kinds.step, kinds.generation_tokens, STEP_PARAMETERS, True),
    "ct2-generator": Kind(
        "server.engines.ct2:GeneratorEngine", kinds.generator, kinds.generation_tokens, GENERATOR_PARAMETERS
    ),
    "ct2-seq2seq": Kind(
        "server.engines.ct2:Seq2SeqEngine", kinds.seq2seq, kinds.generation_tokens, GENERATOR_PARAMETERS
    ),
    "ct2-translator": Kind("server.engines.ct2:TranslatorEngine", kinds.translator, kinds.translation_tokens),
    "step-translator": Kind("server.engines.step.translator:StepTranslator", kinds.step, kinds.translation_tokens),
    "ct2-encoder": Kind("server.engines.ct2:EncoderEngine", kinds.encoder, kinds.encoder_tokens),
    "static": Kind("server.engines.static:StaticEngine", kinds.encoder, kinds.encoder_tokens),
    "ct2-decoder-encoder": Kind("server.engines.ct2:DecoderEncoder", kinds.encoder, kinds.encoder_tokens),
}


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The description of an engine, from which its process builds it."""

    kind: str
    folder: str = ""
    lanes: int = 1
    """The number of ``run`` calls at once."""
    lane_threads: int = 1
    """The number of threads that one ``run`` call computes with."""
    options: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 that files of the folder must have before they are loaded."""

    @property
    def name(self) -> str:
        """The engine's name in logs and in the list of processes."""
        return Path(self.folder).name or self.kind

    def build(self) -> Engine[Any, Any, Any]:
        """Load the engine.

        Raises:
            Exception: any exception of the engine's library if the engine cannot be loaded.
        """
        module, name = KINDS[self.kind].path.split(":")
        engine: Engine[Any, Any, Any] = getattr(import_module(module), name)(self)
        return engine
