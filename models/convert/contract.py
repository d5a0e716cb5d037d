"""The input and the result of a converter. This module knows no architecture and no file format."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.cards import (
    EmbeddingSpec,
    EntitiesSpec,
    Figure,
    GenerationSpec,
    HeadSpec,
    JudgeSpec,
    Task,
    TokenizerSpec,
    TranslationSpec,
)
from models.convert.source import Source

Quantization = Literal["int8_float32", "int8", "int4", "float32"]
Check = Literal["passage", "original", "structure"]
"""``passage``: the model finds a text likely, or the served model agrees with its own float32 weights; both need no
original. ``original``: the model agrees with transformers. ``structure``: neither, for models of other data than
language. All modes make every other check.
"""

USUAL_CONTEXT_TOKENS = 8192
"""The default limit. Repositories state up to a million; each position costs memory, so users must ask for more."""


class CannotConvert(Exception):
    """Hearth cannot convert this repository; the message says why and names a remedy."""


class Mismatch(CannotConvert):
    """The converted model's outputs differ from the original's; the message has the figure."""

    def __init__(self, what: str, found: float, allowed: float, help: str = "") -> None:
        super().__init__(
            f"The converted model is not the original: {what} is {found:.2g}, at most {allowed:.2g} is allowed. "
            f"Nothing was written{f' ({help})' if help else ''}."
        )
        self.found = found


class Probe(Protocol):
    """A decoder folder opened by the engine that will serve it."""

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """The logits after each of the ids, of shape (ids, vocabulary)."""

    def surprises(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """The negative log-probability in nats of each id but the first after the ids before it; takes little
        memory.
        """

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest ``count`` tokens after the ids; no token ends them."""


@runtime_checkable
class Watched(Probe, Protocol):
    """A probe of our decode engine, which can show what a layer computes with."""

    def written(self, begin: Sequence[int], texts: int, length_tokens: int) -> list[list[int]]:
        """Texts that the model writes after these ids, each drawn at temperature 1; the same for each call."""

    def input_squares(self, ids: Sequence[int]) -> list[list[npt.NDArray[np.float32]]]:
        """For each layer the sums over the ids of the squares of its products' inputs: of queries, keys and values; of
        attention's output; of the inner layer; of its output.
        """


def surprises_of(logits: npt.NDArray[np.float32], following: Sequence[int]) -> npt.NDArray[np.float64]:
    """The negative log-probability in nats of each id by the logits before it, of shape (ids, vocabulary)."""
    rows = logits[: len(following)].astype(np.float64)
    rows -= rows.max(1, keepdims=True)
    chosen = np.take_along_axis(rows, np.array(following, np.int64)[:, None], 1)[:, 0]
    return np.asarray(np.log(np.exp(rows, out=rows).sum(1)) - chosen)


OpenProbe = Callable[[Path], AbstractContextManager[Probe]]


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a conversion."""

    quantization: Quantization = "int8_float32"
    context_tokens: int | None = None
    """The most tokens of a row; None: the repository's number, at most ``USUAL_CONTEXT_TOKENS``."""
    labels: tuple[str, ...] = ()
    """Names for a classifier's labels, in the order of its logits; empty: the repository's names."""
    check: Check = "passage"
    """The reference of the self-check."""
    open_probe: OpenProbe | None = None
    """Opens a decoder folder with the engine that will serve it; None: CTranslate2's own loop."""
    summary: str = ""
    """The manifest's description of the model in one sentence; empty: its architecture and origin."""
    aliases: tuple[str, ...] = ()
    """Other names of the model."""
    figures: tuple[Figure, ...] = ()
    """Figures that were measured elsewhere; the manifest has them beside the self-check's."""
    report: Callable[[str], None] = lambda line: None
    """Receives one line about the progress at each step."""

    def context_of(self, stated_tokens: int) -> int:
        """The context for a model whose repository states this number."""
        return min(stated_tokens, self.context_tokens or USUAL_CONTEXT_TOKENS)


@dataclass(frozen=True, slots=True)
class Converted:
    """A converter's facts and figures; the fields are the manifest's (`models.cards.Manifest`)."""

    task: Task
    family: str
    context_length_tokens: int
    parameters: int
    tokenizer: TokenizerSpec
    figures: tuple[Figure, ...]
    """The self-check's figures: the name "self-check", the measured quantity, its value, and the number of tokens or
    texts."""
    generation: GenerationSpec | None = None
    translation: TranslationSpec | None = None
    embedding: EmbeddingSpec | None = None
    heads: tuple[HeadSpec, ...] = ()
    entities: EntitiesSpec | None = None
    judge: JudgeSpec | None = None


Converter = Callable[[Source, Path, Request], Converted]
"""Fills the empty folder and returns the facts for the manifest.

Raises:
    CannotConvert: the repository lacks a part, or has a part that no engine here computes.
    Mismatch: the self-check failed.
"""
