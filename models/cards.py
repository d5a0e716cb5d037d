"""What a manifest (``model.toml``) says, as plain data. The field names are the manifest's keys.

Knows nothing of files on disk; `models.registry` reads and checks them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.tables import Table

Task = Literal["generation", "translation", "classification", "embedding"]
Pooling = Literal["mean", "cls", "last"]
Activation = Literal["tanh", "relu", "gelu"]


@dataclass(frozen=True, slots=True)
class TokenizerSpec(Table):
    """Which library reads the tokenizer's file."""

    kind: Literal["sentencepiece", "sentencepiece-vocabulary", "huggingface"]
    """``sentencepiece-vocabulary``: a sentencepiece model cuts a text into pieces, and a piece's id is its row in the
    model's vocabulary file."""
    file: str
    target_file: str | None = None
    """The sentencepiece model of the target's pieces, where it is another."""


SAMPLING: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 2**31 - 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 10),
}
"""What a maker may recommend for choosing tokens, with the least and the most of it."""


@dataclass(frozen=True, slots=True)
class FillSpec(Table):
    """The tokens around which a model fills a gap: it reads ``prefix``, the text before, ``suffix``, the text after,
    and ``middle``, and goes on with what belongs between."""

    prefix: str
    suffix: str
    middle: str
    stop_tokens: tuple[str, ...] = ()
    """What ends a filling, beside what ends any completion."""


@dataclass(frozen=True, slots=True)
class GenerationSpec(Table):
    """How a prompt is written and what ends a completion."""

    stop_tokens: tuple[str, ...]
    template: str | None = None
    """The file of the chat template; None: the model completes text and does not chat."""
    bos_token: str | None = None
    """Begins every text that is to be completed."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Names that the template may use, such as ``eos_token``; ``bos_token`` is always there."""
    eos_token: str | None = None
    """Ends every text that an encoder-decoder reads."""
    max_target_tokens: int | None = None
    """The most tokens that an encoder-decoder makes, beside those it reads. None: a decoder, whose completion shares
    the context with its prompt."""
    fill: FillSpec | None = None
    """None: the model was not trained to fill gaps."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """How the model's makers recommend to choose tokens, for requests that say nothing of it: names of ``SAMPLING``."""
    closed_loop_tokens: int | None = None
    """How far CTranslate2's own loop computes what the model does, which forgets sliding windows and caps; None: all
    the way."""


@dataclass(frozen=True, slots=True)
class ConfidenceSpec(Table):
    """How likely a reader accepts a translation, by the mean log-probability of its tokens: a logistic curve."""

    slope: float
    intercept: float
    low: float
    """Below it a translation is doubtful."""
    rows: int
    """Rated translations that the curve was fitted to."""
    origin: str
    """What they were and who judged them."""

    def of(self, mean_logprob: float) -> float:
        """The probability."""
        return 1 / (1 + math.exp(min(-(self.slope * mean_logprob + self.intercept), 700.0)))


@dataclass(frozen=True, slots=True)
class TranslationSpec(Table):
    """The directions one pass serves, and how a source row is made."""

    languages: tuple[str, ...]
    target_token: str
    """How a row names a language, with ``{language}`` for its code; empty: it names none. The family knows where."""
    beam_size: int
    max_target_ratio: float
    pairs: tuple[tuple[str, str], ...] = ()
    """Source and target; none: each language with each other."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """What ``{language}`` stands for where that is not the language's code: ``en`` is ``eng_Latn`` to NLLB."""
    max_target_tokens: int = 1024
    """The most tokens of a translation: the decoder has no positions beyond."""
    confidence: ConfidenceSpec | None = None
    """None: what the model's translations are worth was not measured."""

    def covers(self, source: str, target: str) -> bool:
        """Whether one pass translates this direction."""
        if self.pairs:
            return (source, target) in self.pairs
        return source != target and source in self.languages and target in self.languages

    def token(self, language: str) -> str:
        """How a row names this language."""
        return self.target_token.format(language=self.codes.get(language, language))


@dataclass(frozen=True, slots=True)
class EmbeddingSpec(Table):
    """How hidden states become one vector."""

    dimensions: int
    pooling: Pooling
    normalize: bool
    prompts: Mapping[str, str] = field(default_factory=dict)
    """What the model was trained to read before a text, by use (``query``, ``passage``): for clients, who send it."""


@dataclass(frozen=True, slots=True)
class HeadSpec(Table):
    """A classifier on the pooled vector."""

    name: str
    labels: tuple[str, ...]
    kind: Literal["softmax", "sigmoid"]
    pooling: Pooling
    file: str
    activation: Activation = "tanh"
    """What follows the dense layer, where the file has one before the labels."""
    temperature: float = 1.0
    """Logits are divided by it."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Sigmoid heads: from which probability on a label counts as true."""
    experimental: tuple[str, ...] = ()
    """Labels whose quality is not good enough to rely on."""
    languages: tuple[str, ...] = ()
    """The languages it reads (ISO 639-1): a text in another is given to another model with this head, or flagged. None:
    every text is taken as it comes."""


@dataclass(frozen=True, slots=True)
class Source(Table):
    """Training data."""

    name: str
    license: str
    origin: str
    rows: int


@dataclass(frozen=True, slots=True)
class Origin(Table):
    """The hub repository that a model was converted from."""

    repository: str
    revision: str = ""
    """The commit; empty where the files did not come from a hub."""


@dataclass(frozen=True, slots=True)
class Figure(Table):
    """One measured quality."""

    name: str
    metric: str
    value: float
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest(Table):
    """The whole of ``model.toml``."""

    id: str
    task: Task
    family: str
    summary: str
    license: str
    created: int
    """Unix seconds."""
    context_length_tokens: int
    """The most tokens of one row: prompt plus completion for decoders, what is read for all others."""
    quantization: str
    parameters: int
    tokenizer: TokenizerSpec
    files: Mapping[str, str]
    """SHA-256 of every other file of the folder."""
    aliases: tuple[str, ...] = ()
    """Other names that the model answers to, such as ``smollm2:135m``; the operator's own names go first."""
    origin: Origin | None = None
    generation: GenerationSpec | None = None
    translation: TranslationSpec | None = None
    embedding: EmbeddingSpec | None = None
    heads: tuple[HeadSpec, ...] = ()
    sources: tuple[Source, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCard(Manifest):
    """A manifest and where it lies."""

    folder: Path = Path()

    def path(self, name: str) -> Path:
        """Where a file that the manifest names lies."""
        return self.folder / name
