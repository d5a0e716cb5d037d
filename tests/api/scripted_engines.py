"""Fake engines for tests of the HTTP side: they follow a test's script and compute nothing."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from server.engines.base import Outbox
from server.engines.rows import (
    Encoded,
    EncoderRow,
    Generated,
    GenerationRow,
    Hypothesis,
    Token,
    Translated,
    TranslationRow,
    write_top,
)
from server.errors import EngineFailed
from server.tasks.generation.options import GenerationOptions
from server.tasks.model import State


@dataclass
class Scripted:
    """What all engines here have: a state to be in, a gate to wait at, and a way to fail."""

    honours: ClassVar[frozenset[str]] = frozenset(GenerationOptions.__slots__) | {"top_logprobs"}

    state: State = "ready"
    reason: str = ""
    pid: int | None = None
    cache_usage: float = 0.0
    cache_blocks: tuple[int, int] | None = (16, 100)
    gate: threading.Event = field(default_factory=threading.Event)
    """A row is answered only while it is set."""
    began: threading.Event = field(default_factory=threading.Event)
    """Set once a batch has begun."""
    fails: bool = False
    dropped: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def wait_ready(self) -> bool:
        return self.state == "ready"

    def wait(self, rows: int, out: Outbox[Any, Any, Any]) -> set[int]:
        """Wait at the gate, stepping as engines do; the rows somebody still wants."""
        self.began.set()
        live = set(range(rows))
        while live:
            turn = out.step()
            self.dropped += turn.dropped
            live -= set(turn.dropped)
            if self.gate.wait(0.002):
                break
        return live

    def close(self) -> None:
        pass


@dataclass
class ScriptedGenerator(Scripted):
    """Makes the ids of ``script``, whatever it is asked, ``fails`` after its third token."""

    script: Sequence[int] = ()
    pauses_at: int | None = None
    """Before so many tokens it waits until nobody wants its rows."""

    def run(self, rows: Sequence[GenerationRow], out: Outbox[GenerationRow, Token, Generated]) -> None:
        live = self.wait(len(rows), out) if self.fails is False else set(range(len(rows)))
        steps = max((row.max_tokens for row in rows), default=0)
        for step in range(steps):
            if step == self.pauses_at:
                self.gate.clear()
                live &= self.wait(len(rows), out)
            for i in sorted(live):
                row = rows[i]
                if self.fails and step == 3:
                    out.done(i, EngineFailed("the secret detail"))
                    live.discard(i)
                    continue
                token = self.script[step % len(self.script)]
                beside = range(row.logprobs or 0)
                top = write_top([token + n for n in beside], [-0.5 - n for n in beside])
                out.piece(i, Token(token, None if row.logprobs is None else -0.5, top))
                if token in row.stop_ids or step + 1 == row.max_tokens:
                    out.done(i, Generated("stop" if token in row.stop_ids else "length"))
                    live.discard(i)
            turn = out.step()
            self.dropped += turn.dropped
            live -= set(turn.dropped)
            if not live:
                return


@dataclass
class ScriptedEncoder(Scripted):
    """A vector that depends on the ids alone."""

    dimensions: int = 384

    def run(self, rows: Sequence[EncoderRow], out: Outbox[EncoderRow, None, Encoded]) -> None:
        for i in sorted(self.wait(len(rows), out)):
            numbers = np.random.default_rng(list(rows[i].ids)).standard_normal(self.dimensions)
            if rows[i].pooling == "none":
                numbers = np.stack([numbers] * len(rows[i].ids))
            out.done(i, EngineFailed("the secret detail") if self.fails else Encoded(numbers.astype(np.float32)))
        out.step()


class ScriptedTranslator(Scripted):
    """Gives the source back."""

    def run(self, rows: Sequence[TranslationRow], out: Outbox[TranslationRow, None, Translated]) -> None:
        for i in sorted(self.wait(len(rows), out)):
            hypothesis = Hypothesis(tuple(rows[i].source[1:]), -0.1)
            out.done(i, Translated([hypothesis] * rows[i].hypotheses))
        out.step()
