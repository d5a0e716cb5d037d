"""The HTTP side on the shipped models' tokenizers and templates, with engines that do as they are told."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from models.cards import ModelCard
from models.registry import find_models
from models.tokenizers import Tokenizer, load_tokenizer
from server import api
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines.base import Outbox
from server.engines.kinds import KINDS
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
from server.metrics import Metrics
from server.serving.registry import Broken, ModelRegistry
from server.settings import Settings
from server.tasks.generation.options import GenerationOptions
from server.tasks.model import Model, State

WEIGHTS = Path(__file__).parents[2] / "models" / "weights"
KIND = {"generation": "ct2-generator", "translation": "ct2-translator"}
PATIENCE_S = 20.0


@dataclass
class Scripted:
    """What all engines here have: a state to be in, a gate to wait at, and a way to fail."""

    honours: ClassVar[frozenset[str]] = frozenset(GenerationOptions.__slots__) | {"top_logprobs"}

    state: State = "ready"
    reason: str = ""
    pid: int | None = None
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
            out.done(i, EngineFailed("the secret detail") if self.fails else Encoded(numbers.astype(np.float32)))
        out.step()


class ScriptedTranslator(Scripted):
    """Gives the source back."""

    def run(self, rows: Sequence[TranslationRow], out: Outbox[TranslationRow, None, Translated]) -> None:
        for i in sorted(self.wait(len(rows), out)):
            hypothesis = Hypothesis(tuple(rows[i].source[1:]), -0.1)
            out.done(i, Translated([hypothesis] * rows[i].hypotheses))
        out.step()


@pytest.fixture(scope="session")
def shipped() -> dict[str, tuple[ModelCard, Tokenizer]]:
    return {card.id: (card, load_tokenizer(card)) for card in find_models(WEIGHTS)}


@dataclass
class ModelStatus:
    """The application, its engines, and a client."""

    app: FastAPI
    http: httpx.AsyncClient
    engines: dict[str, Any]
    metrics: Metrics
    registry: ModelRegistry
    tokenizers: dict[str, Tokenizer]

    def say(self, text: str, *, ends: bool = True) -> None:
        """From now on the assistant answers this."""
        tokenizer = self.tokenizers["assistant"]
        end = [tokenizer.id("<|end|>")] if ends else []
        self.engines["assistant"].script = [*tokenizer.encode(text), *end]

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)


Make = Callable[..., AbstractAsyncContextManager[ModelStatus]]


@pytest.fixture
def serving(shipped: dict[str, tuple[ModelCard, Tokenizer]]) -> Make:
    """``async with serving(max_body_bytes=…) as served``."""

    @asynccontextmanager
    async def make(
        broken: Sequence[Broken] = (),
        patience_s: float = PATIENCE_S,
        clock: Any = time.monotonic,
        aliases: Mapping[str, str] | None = None,
        spans: Any = None,
        **settings: Any,
    ) -> AsyncIterator[ModelStatus]:
        metrics = Metrics("test")
        engines: dict[str, Any] = {}
        models = []
        for name, (card, tokenizer) in shipped.items():
            engine: Scripted = {
                "generation": ScriptedGenerator,
                "translation": ScriptedTranslator,
            }.get(card.task, ScriptedEncoder)()  # fmt: skip
            engines[name] = engine
            batcher: Batcher[Any, Any, Any] = Batcher(
                engine,  # type: ignore[arg-type]  # each runs the rows of its own task
                KINDS[KIND.get(card.task, "ct2-encoder")],
                Limits(rows=32, tokens=10_000),
                cores=CoreBudget(4),
                observer=metrics.of(name),
                waiting_rows=64,
                name=name,
            )
            models.append(Model(card, tokenizer, engine, batcher))  # type: ignore[arg-type]
        registry = ModelRegistry(models, broken, aliases=aliases)
        metrics.watch(lambda: registry.models.values())
        app = FastAPI(docs_url=None, redoc_url=None)
        api.install(app, registry, Settings(**settings), metrics, spans=spans, clock=clock)
        transport = httpx.ASGITransport(app)
        for model in models:
            model.batcher.start()
        async with asyncio.timeout(patience_s), httpx.AsyncClient(transport=transport, base_url="http://t") as http:
            served = ModelStatus(app, http, engines, metrics, registry, {n: t for n, (_, t) in shipped.items()})
            served.say("Hello there, how are you?")
            try:
                yield served
            finally:
                for engine in engines.values():
                    engine.gate.set()
                for model in models:
                    await model.batcher.stop()

    return make


@pytest.fixture
async def served(serving: Make) -> AsyncIterator[ModelStatus]:
    async with serving() as made:
        yield made


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """The facts of the access lines so far."""
    caplog.set_level(logging.INFO, "server.access")
    return lambda: [getattr(r, "facts", {}) for r in caplog.records if r.name == "server.access"]


@dataclass
class Connection:
    """One HTTP request on the level below HTTP: it can leave."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    body_came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)

    @property
    def text(self) -> str:
        return b"".join(m.get("body", b"") for m in self.sent).decode()

    async def run(self, app: FastAPI, path: str, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        read = False

        async def receive() -> dict[str, Any]:
            nonlocal read
            if not read:
                read = True
                return {"type": "http.request", "body": raw, "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.sent.append(message)
            if message["type"] == "http.response.body":
                self.body_came.set()

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(b"content-type", b"application/json"), (b"host", b"t")],
            "client": ("127.0.0.1", 1), "server": ("t", 80),
        }  # fmt: skip
        await app(scope, receive, send)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait until something holds, which other tasks or threads bring about."""

    async def wait(holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110  what is watched has no event
                await asyncio.sleep(0)

    return wait


@pytest.fixture
def connection() -> Connection:
    return Connection()
