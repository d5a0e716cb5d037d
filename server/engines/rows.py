"""The rows, pieces and results of the three kinds of engine: plain data, all of it picklable.

numpy is imported where it is used: a translator's process does without it, and is 20 MB smaller.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

from models.cards import Pooling


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one row's next token is chosen. The defaults are plain sampling from the model.

    Order of operations (OpenAI's and vLLM's): ``bias`` and penalties on the logits, then temperature, then
    top_k, top_p and min_p, then the draw. Reported log-probabilities are of the logits after bias and
    penalties at temperature 1.
    """

    temperature: float = 1.0
    """0 is greedy; then top_k, top_p, min_p and seed change nothing."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    """Divides (positive) or multiplies (negative) the logits of tokens in the prompt or the completion."""
    presence_penalty: float = 0.0
    """Subtracted once from the logits of tokens that occur in the completion so far."""
    frequency_penalty: float = 0.0
    """Subtracted once for each occurrence in the completion so far."""
    bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits; -100 and below bans a token."""
    seed: int | None = None
    """With it, the text depends on the request alone. None: the engine draws a seed of its own."""


@dataclass(frozen=True, slots=True)
class Thought:
    """The thought that a completion may begin with. A row's grammar is for what comes after it."""

    begin: Sequence[int]
    """Tokens that begin one; empty: the prompt ends inside it."""
    end: str
    """The mark that ends it."""
    end_id: int | None
    """Its token, where it is one."""
    close: Sequence[int]
    """Tokens that end it once the budget is spent."""
    after: Sequence[int] = ()
    """Tokens that stand between its end and the answer."""
    budget_tokens: int | None = None
    """At most so many tokens of thought."""


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """A prompt to continue.

    ``prompt`` has at least one id, all of them below the vocabulary's size; ``prompt`` and ``max_tokens``
    together fit the context. The token that stops a row is its last piece.
    """

    prompt: Sequence[int]
    max_tokens: int
    stop_ids: frozenset[int] = frozenset()
    """Ids that end the completion. Empty: only ``max_tokens`` ends it (``ignore_eos``)."""
    min_tokens: int = 0
    """Until so many tokens are made, the stop ids are banned."""
    sampling: Sampling = Sampling()
    logprobs: int | None = None
    """None: no log-probabilities; n: the chosen token's and those of the n likeliest."""
    grammar: str | None = None
    """A grammar in llguidance's form that the completion obeys; the stop ids are allowed where it may end."""
    thought: Thought | None = None
    """Where it has to be told from the answer: with a budget, or with a grammar."""
    score_from: int | None = None
    """Report the log-probabilities of the prompt's tokens from this place on, at least 1: the first has none.
    With it, ``max_tokens`` may be 0."""


@dataclass(frozen=True, slots=True)
class Token:
    """One decoded token: the piece of a generation row."""

    id: int
    logprob: float | None = None
    top: bytes = b""
    """The likeliest at this position, likeliest first: their ids as int32, then their log-probabilities as float32.
    Bytes, since a token may have twenty: as objects they would take longer than a small model's step."""


def write_top(ids: "npt.ArrayLike", logprobs: "npt.ArrayLike") -> bytes:
    """``Token.top`` of these."""
    import numpy as np

    return np.asarray(ids, np.int32).tobytes() + np.asarray(logprobs, np.float32).tobytes()


def read_top(top: bytes) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The ids and the log-probabilities of ``Token.top``."""
    count = len(top) // 8
    values = struct.unpack(f"{count}i{count}f", top)
    return values[:count], values[count:]


@dataclass(frozen=True, slots=True)
class Generated:
    """How a generation row ended. Its tokens came as pieces."""

    reason: Literal["stop", "length"]
    cached_tokens: int = 0
    """Prompt tokens whose keys and values came from the prefix cache."""
    prompt: Sequence[Token] = ()
    """With ``score_from``: the prompt's tokens from there on."""


@dataclass(frozen=True, slots=True)
class TranslationRow:
    """A source sentence as the model reads it, with language and end tokens."""

    source: Sequence[str]
    max_tokens: int
    """At most so many tokens are decoded."""
    target_prefix: Sequence[str] = ()
    """Tokens that the decoder is made to begin with; they are no part of a hypothesis."""
    beam_size: int = 1
    hypotheses: int = 1
    """How many to return; at most ``beam_size``."""
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    alignment: bool = False
    """Whether each hypothesis comes with its alignment."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One translation of a row."""

    tokens: Sequence[str]
    mean_logprob: float
    alignment: Sequence[int] = ()
    """For each token the place of the source token that the model attended to most; empty when not asked for."""


@dataclass(frozen=True, slots=True)
class Translated:
    """The hypotheses of a translation row, likeliest first."""

    hypotheses: Sequence[Hypothesis]


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """Ids to encode, with the special tokens the model wants; never empty, all below the vocabulary's size."""

    ids: Sequence[int]
    pooling: Pooling = "mean"


@dataclass(frozen=True, slots=True)
class Encoded:
    """The pooled hidden state of one row: float32 of shape (d,)."""

    vector: "npt.NDArray[np.float32]"
