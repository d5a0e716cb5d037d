"""The composition root: builds every layer from the settings. The only module that knows them all."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from server import api, tracing
from server.errors import ServerError, Unavailable
from server.jobs.runner import Runner
from server.metrics import Metrics
from server.serving.registry import ModelRegistry
from server.settings import Settings
from server.store.store import Store

log = logging.getLogger(__name__)

TICK_S = 1.0
"""Seconds between two checks for idle models and for requests that wait for memory."""

LOOK_TICKS = 10
"""The model folders are read again, and what has expired is removed, every so many ticks."""


def create_app(settings: Settings) -> FastAPI:
    """The application. Nothing is loaded or started before its lifespan begins.

    Raises:
        SettingsError: no model folder, a wrong manifest, or a model is named that is not there.
    """
    tracer = tracing.start(settings.otlp_endpoint, _version()) if settings.otlp_endpoint else None
    metrics = Metrics(_version())
    registry = ModelRegistry.of(settings, metrics)
    metrics.watch(lambda: registry.models.values())
    store = api.store_of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        registry.open()
        await store.open()
        runner: Runner = app.state.runner
        tending = [asyncio.create_task(_tend(registry)), asyncio.create_task(_keep(store, runner))]
        running = asyncio.create_task(runner.run())
        yield
        for task in tending:
            task.cancel()
        registry.refuse(Unavailable("The server is shutting down."))
        await registry.close()
        runner.stop()
        await asyncio.wait([*tending, running])
        await store.close()
        if tracer is not None:
            await asyncio.to_thread(tracer.close)

    app = FastAPI(title="Hearth", version=_version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    api.install(app, registry, settings, metrics, store=store, spans=tracer)
    return app


async def _tend(registry: ModelRegistry) -> None:
    """Run the periodic checks for as long as the server runs."""
    for turn in itertools.count(1):
        await asyncio.sleep(TICK_S)
        try:
            await registry.tick()
            if turn % LOOK_TICKS == 0:
                await registry.refresh()
        except Exception:  # the next turn may go better
            log.exception("the models could not be looked after")


async def _keep(store: Store, runner: Runner) -> None:
    """Look after files and batches for as long as the server runs, and open them once another server gives them up."""
    while True:
        await asyncio.sleep(LOOK_TICKS * TICK_S)
        try:
            if store.is_open:
                await store.tick()
            elif not store.database.is_final:
                await store.open()
                runner.wake()
        except ServerError as error:
            log.error("the data folder could not be looked after: %s", error)


def _version() -> str:
    try:
        return version("hearth-server")
    except PackageNotFoundError:
        return "unknown"
