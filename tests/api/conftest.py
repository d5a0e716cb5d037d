"""An application on the shipped models' tokenizers and templates, with scripted engines behind it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from models.cards import ModelCard
from models.registry import find_models
from models.tokenizers import Tokenizer, load_tokenizer
from server import api
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget
from server.batching.policy import Limits
from server.engines.kinds import KINDS
from server.metrics import Metrics
from server.serving.registry import Broken, ModelRegistry
from server.settings import Settings
from server.tasks.model import Model
from tests.api.raw_connection import Connection
from tests.api.scripted_engines import Scripted, ScriptedEncoder, ScriptedGenerator, ScriptedTranslator

WEIGHTS = Path(__file__).parents[2] / "models" / "weights"
KIND = {"generation": "ct2-generator", "translation": "ct2-translator"}
PATIENCE_S = 20.0


@pytest.fixture(scope="session")
def shipped() -> dict[str, tuple[ModelCard, Tokenizer]]:
    return {card.id: (card, load_tokenizer(card)) for card in find_models(WEIGHTS)}


@dataclass
class Served:
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


Make = Callable[..., AbstractAsyncContextManager[Served]]


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
    ) -> AsyncIterator[Served]:
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
            served = Served(app, http, engines, metrics, registry, {n: t for n, (_, t) in shipped.items()})
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
async def served(serving: Make) -> AsyncIterator[Served]:
    async with serving() as made:
        yield made


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """The facts of the access lines so far."""
    caplog.set_level(logging.INFO, "server.access")
    return lambda: [getattr(r, "facts", {}) for r in caplog.records if r.name == "server.access"]


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
