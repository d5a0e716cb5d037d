"""The composition root: builds every layer from the settings. The only module that knows them all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from server import api, tracing
from server.errors import Unavailable
from server.house import House
from server.metrics import Metrics
from server.settings import Settings, SettingsError
from server.tasks.services import Services


def create_app(settings: Settings) -> FastAPI:
    """The application. Nothing is loaded or started before its lifespan begins.

    Raises:
        SettingsError: no model folder, or a model is named that is not there.
    """
    tracer = tracing.start(settings.otlp_endpoint, _version()) if settings.otlp_endpoint else None
    metrics = Metrics(_version())
    house = House(settings, metrics)
    services = Services(look=house.look)
    for name in settings.models:
        if name not in house.folders():
            there = ", ".join(house.folders()) or "none"
            raise SettingsError(f"models names '{name}'; {settings.models_dir} has {there}.")
    services.discover()
    metrics.watch(lambda: services.models.values())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        house.open()
        yield
        services.refuse(Unavailable("The server is shutting down."))
        await house.close()
        if tracer is not None:
            await asyncio.to_thread(tracer.close)

    app = FastAPI(title="Hearth", version=_version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    api.install(app, services, settings, metrics, spans=tracer)
    return app


def _version() -> str:
    try:
        return version("hearth-server")
    except PackageNotFoundError:
        return "unknown"
