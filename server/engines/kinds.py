"""The kinds of engine: one line each. Nothing is imported until an engine is built.

The HTTP process knows a kind's ``key`` and ``tokens`` (to batch) and what it honours (to refuse by name);
only the engine process loads the library behind it.
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
    """CTranslate2's ``generate_batch`` takes one set of sampling options a call.

    A prompt of one token must not share a call with longer ones: the others' results would begin with
    their prompts (``return_prefix`` stays set when nothing is forwarded before decoding).
    """
    return seq2seq(row), len(row.prompt) == 1


def seq2seq(row: GenerationRow) -> Hashable:
    """As for ``generate_batch``, but an answer begins anew after a prompt of any length."""
    s = row.sampling
    greedy = s.temperature == 0 or s.top_k == 1
    options = () if greedy else (s.temperature, s.top_k, s.top_p)
    return options, row.logprobs is not None


def step(row: GenerationRow | TranslationRow) -> Hashable:
    """Our own engine decodes each row by its own options: any rows go together."""
    return ()


def generation_tokens(row: GenerationRow) -> int:
    """The prompt, and what may come of it."""
    return len(row.prompt)


def translator(row: TranslationRow) -> Hashable:
    """Decoding options, the length limit among them, hold for a whole call; rows begin after as many tokens."""
    options = row.repetition_penalty, row.no_repeat_ngram, row.alignment, len(row.target_prefix)
    return row.beam_size, row.hypotheses, row.max_tokens, *options


def translation_tokens(row: TranslationRow) -> int:
    """The source's length; the target's is about the same."""
    return len(row.source)


def encoder(row: EncoderRow) -> Hashable:
    """Any rows go together."""
    return ()


def encoder_tokens(row: EncoderRow) -> int:
    """The row's length."""
    return len(row.ids)


def fake(row: "FakeRow") -> Hashable:
    """The row says itself."""
    return row.key


def fake_tokens(row: "FakeRow") -> int:
    """The row says itself."""
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
    has_cache: bool = False
    """Whether it keeps keys and values in blocks, finds prompts' prefixes there, and has ``cache_blocks``."""


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
