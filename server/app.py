"""The composition root: builds every layer from the settings. The only module that knows them all."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI

from models.registry import ManifestError, ModelCard, find_models, verify
from models.tokenizers import load_tokenizer
from server import api
from server.batching.batcher import Batcher
from server.batching.cores import CoreBudget, usable_cores
from server.batching.policy import Limits
from server.engines.kinds import KINDS, EngineSpec
from server.engines.process import ProcessEngine
from server.errors import Unavailable
from server.metrics import Metrics
from server.settings import Settings, SettingsError
from server.tasks.model import Model
from server.tasks.services import Broken, Services

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The application. Nothing is loaded or started before its lifespan begins.

    Raises:
        SettingsError: no model folder, or a model is named that is not there.
    """
    metrics = Metrics(_version())
    cores = CoreBudget(settings.cores or usable_cores())
    cards = _cards(settings)
    engines: list[ProcessEngine] = []
    models: list[Model] = []
    broken: list[Broken] = []
    for card in cards:
        try:
            verify(card)
            model, engine = build_model(card, settings, cores, metrics)
        except (ManifestError, ValueError) as error:
            log.error("the model %s is not served: %s", card.id, error)
            broken.append(Broken(card, str(error)))
            continue
        models.append(model)
        engines.append(engine)
    services = Services(models, broken)
    metrics.watch(lambda: services.models.values())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for model in models:
            model.batcher.start()
        for engine in engines:
            engine.start()
        yield
        services.refuse(Unavailable("The server is shutting down."))
        # Engines that hang must not hold up the end: closing one ends the runs on it.
        stops = [asyncio.create_task(model.batcher.stop()) for model in models]
        if stops:
            await asyncio.wait(stops, timeout=5.0)
        await asyncio.gather(*(asyncio.to_thread(engine.close) for engine in engines))
        await asyncio.gather(*stops)

    app = FastAPI(title="Hearth", version=_version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    api.install(app, services, settings, metrics)
    return app


def build_model(
    card: ModelCard, settings: Settings, cores: CoreBudget, metrics: Metrics
) -> tuple[Model, ProcessEngine]:
    """The tokenizer, the engine and the line of one model; nothing is started."""
    spec, limits = engine_for(card, cores.cores, settings.batch_rows)
    observer = metrics.of(card.id)
    engine = ProcessEngine(spec, observer)
    batcher: Batcher[Any, Any, Any] = Batcher(
        engine,
        KINDS[spec.kind],
        limits,
        cores=cores,
        observer=observer,
        lanes=spec.lanes,
        lane_cores=spec.lane_threads,
        waiting_rows=settings.queue_rows,
        waiting_tokens=settings.queue_tokens,
        name=card.id,
    )
    return Model(card, load_tokenizer(card), engine, batcher), engine


def engine_for(card: ModelCard, cores: int, batch_rows: int) -> tuple[EngineSpec, Limits]:
    """Which engine serves a model, in how many lanes, and how large its batches grow.

    Measured on two cores (``load_tests/RESULTS.md``): encoders and translators do most with a lane of one
    thread on each core, since threads of one lane wait for each other at every layer; encoders with small
    batches, since those stay in the core's cache.
    """
    folder = str(card.folder)
    if card.task == "generation":
        spec = EngineSpec("ct2-generator", folder, lanes=1, lane_threads=cores)
        return spec, Limits(rows=batch_rows, tokens=16_384, length_tolerance=16)
    if card.task == "translation":
        return EngineSpec("ct2-translator", folder, lanes=cores), Limits(rows=batch_rows, tokens=4096)
    return EngineSpec("ct2-encoder", folder, lanes=cores), Limits(rows=8, tokens=1024)


def _cards(settings: Settings) -> Sequence[ModelCard]:
    if not settings.models_dir.is_dir():
        raise SettingsError(f"models_dir is {settings.models_dir}; there is no such folder.")
    try:
        cards = find_models(settings.models_dir)
    except ManifestError as error:
        raise SettingsError(str(error)) from error
    there = [card.id for card in cards]
    for name in settings.models:
        if name not in there:
            raise SettingsError(f"models names '{name}'; {settings.models_dir} has {', '.join(there) or 'none'}.")
    return [card for card in cards if not settings.models or card.id in settings.models]


def _version() -> str:
    try:
        return version("hearth-server")
    except PackageNotFoundError:
        return "unknown"
