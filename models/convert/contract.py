"""What a converter gets and gives. Knows no architecture and no file format."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from models.cards import EmbeddingSpec, Figure, GenerationSpec, HeadSpec, Task, TokenizerSpec, TranslationSpec
from models.convert.source import Source

Quantization = Literal["int8_float32", "int8", "float32"]
Check = Literal["passage", "original", "structure"]
"""``passage``: the model finds a text likely, or computes as served what it does in float32, which need no original;
``original``: it computes what transformers does; ``structure``: neither, for models of other things than language.
Everything else is checked in any case.
"""

USUAL_CONTEXT_TOKENS = 8192
"""Repositories state up to a million; each position costs memory, so more is for those who ask for it."""


class CannotConvert(Exception):
    """This repository cannot become a model here; the message says why and what would help."""


class Mismatch(CannotConvert):
    """The converted model does not compute what the original does; the message has the figure."""

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
        """How unlikely each id but the first was after those before it, in nats: what it costs no memory to keep."""

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest ``count`` tokens after the ids; nothing ends them."""


def surprises_of(logits: npt.NDArray[np.float32], following: Sequence[int]) -> npt.NDArray[np.float64]:
    """How unlikely each of these ids was by the logits before it, of shape (ids, vocabulary), in nats."""
    rows = logits[: len(following)].astype(np.float64)
    rows -= rows.max(1, keepdims=True)
    chosen = np.take_along_axis(rows, np.array(following, np.int64)[:, None], 1)[:, 0]
    return np.asarray(np.log(np.exp(rows, out=rows).sum(1)) - chosen)


OpenProbe = Callable[[Path], AbstractContextManager[Probe]]


@dataclass(frozen=True, slots=True)
class Request:
    """How to convert."""

    quantization: Quantization = "int8_float32"
    context_tokens: int | None = None
    """The most tokens of a row; None: what the repository says, and not over ``USUAL_CONTEXT_TOKENS``."""
    labels: tuple[str, ...] = ()
    """What a classifier's labels are to be called, in the order of its logits; none: what the repository calls them."""
    check: Check = "passage"
    """What a model is held against."""
    open_probe: OpenProbe | None = None
    """Opens a decoder folder as it will be served; None: CTranslate2's own loop."""
    summary: str = ""
    """What the manifest says of the model in a sentence; empty: its architecture and where it is from."""
    aliases: tuple[str, ...] = ()
    """Other names of the model."""
    figures: tuple[Figure, ...] = ()
    """What was measured of it elsewhere, for the manifest beside the self-check's."""
    report: Callable[[str], None] = lambda line: None
    """Told what goes on, a line each step."""

    def context_of(self, stated_tokens: int) -> int:
        """The context of a model whose repository states this one."""
        return min(stated_tokens, self.context_tokens or USUAL_CONTEXT_TOKENS)


@dataclass(frozen=True, slots=True)
class Converted:
    """What a converter found out and measured; the fields are the manifest's (`models.cards.Manifest`)."""

    task: Task
    family: str
    context_length_tokens: int
    parameters: int
    tokenizer: TokenizerSpec
    figures: tuple[Figure, ...]
    """The self-check: name "self-check", what was measured, the figure, and over how many tokens or texts."""
    generation: GenerationSpec | None = None
    translation: TranslationSpec | None = None
    embedding: EmbeddingSpec | None = None
    heads: tuple[HeadSpec, ...] = ()


Converter = Callable[[Source, Path, Request], Converted]
"""Fills the empty folder and returns what the manifest is to say.

Raises:
    CannotConvert: the repository lacks something, or has what no engine here computes.
    Mismatch: the self-check failed.
"""
