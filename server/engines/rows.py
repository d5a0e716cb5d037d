"""The rows, pieces and results of generators, translators and encoders: plain data that can be pickled.

Functions import numpy only when they use it. A translator's process does not, and so takes 20 MB less.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

from models.cards import Pooling
from server.engines.base import background


@dataclass(frozen=True, slots=True)
class Sampling:
    """The options by which a row's next token is chosen. The defaults are plain sampling from the model.

    The order of operations is OpenAI's and vLLM's: ``bias`` and penalties on the logits, then temperature, then top_k,
    top_p and min_p, then the draw. Reported log-probabilities are those of the logits after bias and penalties, at
    temperature 1.
    """

    temperature: float = 1.0
    """0 is greedy decoding, in which top_k, top_p, min_p and seed have no effect."""
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
    """Added to the logits of tokens, by id; -100 or less bans a token."""
    seed: int | None = None
    """With a seed the text depends on the request alone. None: the engine draws a random seed."""


@dataclass(frozen=True, slots=True)
class Thought:
    """The thought that a completion may begin with. A row's grammar applies to the answer after the thought."""

    begin: Sequence[int]
    """The tokens that begin a thought; empty if the prompt ends inside a thought."""
    end: str
    """The mark that ends the thought."""
    end_id: int | None
    """The token of that mark; None if the mark is not one token."""
    close: Sequence[int]
    """The tokens by which the engine ends the thought when the budget is spent."""
    after: Sequence[int] = ()
    """The tokens between the end of the thought and the answer."""
    budget_tokens: int | None = None
    """The most tokens of thought; None is no limit."""


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
    """The stop ids are banned until the completion has this many tokens."""
    sampling: Sampling = Sampling()
    logprobs: int | None = None
    """None: no log-probabilities. n: those of the chosen token and of the n likeliest tokens."""
    grammar: str | None = None
    """The grammar of the completion, in llguidance's Lark. The stop ids are allowed where the grammar may end."""
    thought: Thought | None = None
    """The thought before the answer. Only needed if it has a budget, or if the answer has a grammar."""
    score_from: int | None = None
    """Report the log-probabilities of the prompt's tokens from this index on. It is at least 1, since the first token
    has none. With it, ``max_tokens`` may be 0."""
    background: bool = field(default_factory=background.get)
    """Whether the row gives way to rows that are not: it computes nothing while such a row reads its prompt."""


@dataclass(frozen=True, slots=True)
class Token:
    """One decoded token: the piece of a generation row."""

    id: int
    logprob: float | None = None
    top: bytes = b""
    """The likeliest tokens at this position, likeliest first: their ids as int32, then their log-probabilities as
    float32. Twenty objects for each token would take longer than a small model's step, so they are bytes."""


def write_top(ids: "npt.ArrayLike", logprobs: "npt.ArrayLike") -> bytes:
    """The value of ``Token.top`` for these ids and log-probabilities, each of shape (n,)."""
    import numpy as np

    return np.asarray(ids, np.int32).tobytes() + np.asarray(logprobs, np.float32).tobytes()


def read_top(top: bytes) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The ids and the log-probabilities of ``Token.top``."""
    count = len(top) // 8
    values = struct.unpack(f"{count}i{count}f", top)
    return values[:count], values[count:]


@dataclass(frozen=True, slots=True)
class Generated:
    """The end of a generation row, whose tokens came as pieces."""

    reason: Literal["stop", "length"]
    cached_tokens: int = 0
    """The number of prompt tokens whose keys and values came from the prefix cache."""
    prompt: Sequence[Token] = ()
    """With ``score_from``: the prompt's tokens from that index on, with their log-probabilities."""


@dataclass(frozen=True, slots=True)
class TranslationRow:
    """A source sentence as the model reads it, with language and end tokens."""

    source: Sequence[str]
    max_tokens: int
    """The most tokens to decode."""
    target_prefix: Sequence[str] = ()
    """The tokens that the decoder must begin with; they are no part of a hypothesis."""
    beam_size: int = 1
    hypotheses: int = 1
    """The number of hypotheses to return; at most ``beam_size``."""
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
    """For each token the index of the source token that the model attended to most; empty without ``alignment``."""


@dataclass(frozen=True, slots=True)
class Translated:
    """The hypotheses of a translation row, likeliest first."""

    hypotheses: Sequence[Hypothesis]


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """Ids to encode, including the model's special tokens; never empty, all below the vocabulary's size."""

    ids: Sequence[int]
    pooling: "Pooling | Literal['none']" = "mean"
    """``none``: the hidden states of all tokens are wanted."""
    types: Sequence[int] = ()
    """The kind of text of each id, for a pair of texts. Empty: all are of the first kind."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The pooled hidden state of one row: float32 of shape (d,); without pooling of shape (tokens, d)."""

    vector: "npt.NDArray[np.float32]"
