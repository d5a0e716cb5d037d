"""The contents of a manifest (``model.toml``) as plain data. The field names are the manifest's keys.

This module knows nothing of files on disk; `models.registry` reads and checks them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.tables import Table

Task = Literal["generation", "translation", "classification", "embedding", "rerank", "entities"]
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
    """The sentencepiece model of the target language, if it differs from the source's."""


SAMPLING: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 2**31 - 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 10),
}
"""The sampling parameters that a maker may recommend, each with its least and greatest value."""


@dataclass(frozen=True, slots=True)
class FillSpec(Table):
    """The tokens around which a model fills a gap: it reads ``prefix``, the text before, ``suffix``, the text after,
    and ``middle``, and goes on with what belongs between."""

    prefix: str
    suffix: str
    middle: str
    stop_tokens: tuple[str, ...] = ()
    """Tokens that end a filling, besides those that end any completion."""


@dataclass(frozen=True, slots=True)
class GenerationSpec(Table):
    """The form of a prompt, and the tokens that end a completion."""

    stop_tokens: tuple[str, ...]
    template: str | None = None
    """The file of the chat template; None: the model completes text and does not chat."""
    bos_token: str | None = None
    """The token at the beginning of every text to complete."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Names that the template may use, such as ``eos_token``; the template always gets ``bos_token``."""
    eos_token: str | None = None
    """The token at the end of every text that an encoder-decoder reads."""
    max_target_tokens: int | None = None
    """The most tokens that an encoder-decoder generates; they do not share the context of its input. None: the model is
    a decoder, whose completion shares the context with its prompt."""
    fill: FillSpec | None = None
    """None: the model was not trained to fill gaps."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """The makers' recommended sampling, used for fields that a request leaves out. The names are those of
    ``SAMPLING``."""
    closed_loop_tokens: int | None = None
    """The most tokens for which CTranslate2's own loop computes the model correctly, since the loop ignores sliding
    windows and caps. None: no limit."""


@dataclass(frozen=True, slots=True)
class ConfidenceSpec(Table):
    """The probability that a translation is acceptable: a logistic curve over the mean log-probability of its
    tokens.
    """

    slope: float
    intercept: float
    low: float
    """A translation with a lower probability is doubtful."""
    rows: int
    """The number of rated translations that the curve was fitted to."""
    origin: str
    """The rated translations' origin, and who rated them."""

    def of(self, mean_logprob: float) -> float:
        """The probability."""
        return 1 / (1 + math.exp(min(-(self.slope * mean_logprob + self.intercept), 700.0)))


@dataclass(frozen=True, slots=True)
class TranslationSpec(Table):
    """The directions that one pass serves, and the form of a source row."""

    languages: tuple[str, ...]
    target_token: str
    """The token with which a row names a language, with ``{language}`` for its code; empty: rows name no language. The
    family knows the token's place."""
    beam_size: int
    max_target_ratio: float
    pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of source and target; empty: every language with every other."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """The value of ``{language}`` for languages whose code it is not: ``en`` is ``eng_Latn`` for NLLB."""
    max_target_tokens: int = 1024
    """The most tokens of a translation: the decoder has no further positions."""
    confidence: ConfidenceSpec | None = None
    """None: nobody rated the model's translations."""

    def covers(self, source: str, target: str) -> bool:
        """Tells whether one pass translates this direction."""
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
    """The prompts that the model was trained to read before a text, by use (``query``, ``passage``). Clients send
    them."""


@dataclass(frozen=True, slots=True)
class HeadSpec(Table):
    """A classifier on the pooled vector."""

    name: str
    labels: tuple[str, ...]
    kind: Literal["softmax", "sigmoid"]
    pooling: Pooling
    file: str
    activation: Activation = "tanh"
    """The activation after the dense layer, if the file has a dense layer before the labels."""
    temperature: float = 1.0
    """The divisor of the logits."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """For sigmoid heads: the probability from which a label counts as true."""
    experimental: tuple[str, ...] = ()
    """Labels that are not reliable enough for use."""
    languages: tuple[str, ...] = ()
    """The languages that the head reads (ISO 639-1). The server gives a text in another language to another model with
    this head, or flags the text. None: the head takes every text."""


@dataclass(frozen=True, slots=True)
class JudgeSpec(Table):
    """How a decoder ranks: it reads a query with a document, and says whether the document is relevant."""

    begin: str
    """The prompt before the pair, with its control tokens."""
    end: str
    """The prompt after the pair, up to the answer."""
    instruction: str
    """The instruction that the pair begins with."""
    yes: str = "yes"
    no: str = "no"
    """The two answers, each a token."""


@dataclass(frozen=True, slots=True)
class EntitiesSpec(Table):
    """A classifier of every token."""

    tags: tuple[str, ...]
    """The tags in the order of the logits, such as ``O``, ``B-PER``, ``I-PER``."""
    file: str
    """The arrays ``weight`` and ``bias`` of the linear layer on each token's hidden state."""


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
    """The commit; empty if the files did not come from a hub."""


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
    """The most tokens of one row: prompt plus completion for decoders, the input for all other models."""
    quantization: str
    parameters: int
    tokenizer: TokenizerSpec
    files: Mapping[str, str]
    """SHA-256 of every other file of the folder."""
    aliases: tuple[str, ...] = ()
    """Other names that the model answers to, such as ``smollm2:135m``; the operator's aliases take precedence."""
    origin: Origin | None = None
    generation: GenerationSpec | None = None
    translation: TranslationSpec | None = None
    embedding: EmbeddingSpec | None = None
    heads: tuple[HeadSpec, ...] = ()
    entities: EntitiesSpec | None = None
    judge: JudgeSpec | None = None
    """Of a decoder that ranks."""
    sources: tuple[Source, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCard(Manifest):
    """A manifest and where it lies."""

    folder: Path = Path()

    def path(self, name: str) -> Path:
        """The path of a file that the manifest names."""
        return self.folder / name
