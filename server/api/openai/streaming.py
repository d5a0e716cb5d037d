"""Parts that OpenAI's streamed routes share: chunks to fill in, the pace of a stream, ``system_fingerprint``."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from pydantic import BaseModel
from pydantic_core import to_json

from models.cards import ModelCard
from server.api import sse
from server.api.record import Record
from server.tasks.generation.completion import GenerationStream
from server.tasks.generation.options import GenerationOptions, Reasoning
from server.tasks.translation.chat import TranslationStream

_MARK = "\x00"
_ENCODED_MARK = to_json(_MARK)


class TextChunks:
    """Writes the events of plain text; byte for byte what encoding each chunk would give, at a fraction of the cost.

    Args:
        make: makes the chunk of a choice's index and its text, once or more often, with nothing else that varies.
    """

    def __init__(self, make: Callable[[int, str], BaseModel]) -> None:
        self._make = make
        self._frames: dict[int, list[bytes]] = {}

    def encode(self, index: int, text: str) -> bytes:
        """The event of some more text of a choice."""
        if (frame := self._frames.get(index)) is None:
            frame = self._frames[index] = sse.encode(self._make(index, _MARK)).split(_ENCODED_MARK)
        return to_json(text).join(frame)


Deltas = GenerationStream | TranslationStream
"""The outcome of a generation request, whatever serves it."""


class Pace:
    """TokenLogprobs of each piece as it goes out; the gaps end up in the record."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._last_s: dict[int, float] = {}

    def tick(self, index: int, deltas: Deltas) -> None:
        """A piece of this choice."""
        now_s = time.perf_counter()
        if not self._last_s:
            self._record.timing = deltas.timing  # the headers go out with the first piece
        if (last_s := self._last_s.get(index)) is not None:
            self._record.gaps_s.append(now_s - last_s)
        self._last_s[index] = now_s


def possible(options: GenerationOptions, thinks: bool, record: Record) -> GenerationOptions:
    """The options, without thinking that the model cannot do where fields may be ignored: the record names them."""
    asked = options.reasoning
    if record.ignored is None or thinks:
        return options
    wanted = {
        asked.field: asked.on or asked.effort not in (None, "none"),
        "thinking_budget": bool(options.thinking_budget),
        "chat_template_kwargs": any(value not in (False, "none", 0) for value in asked.variables.values()),
    }
    names = {name.partition(".")[0] for name, is_wanted in wanted.items() if is_wanted}
    record.ignored |= names
    return replace(options, reasoning=Reasoning(), thinking_budget=None) if names else options


def fingerprint(card: ModelCard) -> str:
    """A short name for the model's files; another one means that the same seed may give other text."""
    return _short(tuple(sorted(card.files.items())))


@lru_cache(maxsize=64)
def _short(files: tuple[tuple[str, str], ...]) -> str:
    return "fp_" + hashlib.sha256(repr(files).encode()).hexdigest()[:10]
