"""HTTP: bytes to tasks and back. Knows no models, no batches, no engines."""

import time
from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from server.api import errors, hearth, ops, pages, summaries
from server.api.access import Observe, Spans
from server.api.auth import Hosts, Keys
from server.api.compat import anthropic, classifiers, deepl, libretranslate, ollama, tokens
from server.api.compat.peer import KeptFiles
from server.api.keys import Clock, Keyring
from server.api.mcp.route import router as mcp_router
from server.api.openai import chat, completions, decisions, embeddings, models, moderations, responses
from server.api.openai.logprobs import TokenJson
from server.metrics import Metrics, VllmNames
from server.serving.registry import ModelRegistry
from server.settings import Settings

ROUTERS: Sequence[APIRouter] = (
    chat.router,
    completions.router,
    responses.router,
    anthropic.router,
    ollama.router,
    embeddings.router,
    moderations.router,
    decisions.router,
    models.router,
    hearth.router,
    summaries.router,
    mcp_router,
    tokens.router,
    libretranslate.router,
    deepl.router,
    classifiers.predicting,
    classifiers.classifying,
    ops.router,
    pages.router,
)


def install(
    app: FastAPI,
    registry: ModelRegistry,
    settings: Settings,
    metrics: Metrics,
    *,
    spans: Spans | None = None,
    clock: Clock = time.monotonic,
) -> None:
    """Give the application its routes, its errors and its middlewares.

    Made for an application without documentation routes of FastAPI's own: those load scripts from elsewhere.

    Raises:
        SettingsError: the file of API keys cannot be read.
    """
    app.state.registry = registry
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.token_json = TokenJson()
    app.state.kept_files = KeptFiles(clock)
    needs_keys = bool(settings.api_keys or settings.api_keys_file)
    app.state.keyring = Keyring(settings.api_keys, settings.api_keys_file, clock) if needs_keys else None
    app.router.redirect_slashes = False  # a redirect would be an answer in another shape
    errors.install(app)
    errors.describe(app)
    for router in (*ROUTERS, pages.playground) if settings.playground else ROUTERS:
        # Not include_router: it keeps routers nested, and finding a route in them takes longer than answering.
        app.router.routes.extend(router.routes)
    if settings.vllm_metrics:
        metrics.registry.register(VllmNames(metrics))
    if not settings.metrics_port:
        app.router.routes.extend(ops.scraping.routes)
    # The last one added is the outermost.
    if not needs_keys:
        app.add_middleware(Hosts, allowed=settings.allowed_hosts)
    if app.state.keyring is not None:
        app.add_middleware(Keys, keyring=app.state.keyring)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "x-ignored-fields", "retry-after"],
        )
    app.add_middleware(Observe, metrics=metrics, spans=spans)


def metrics_only(settings: Settings, metrics: Metrics) -> FastAPI:
    """An application for a port of its own: it has ``/metrics`` and nothing else, and asks for no key."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.metrics = metrics
    app.router.redirect_slashes = False
    errors.install(app)
    app.router.routes.extend(ops.scraping.routes)
    app.add_middleware(Hosts, allowed=settings.allowed_hosts)
    app.add_middleware(Observe, metrics=metrics)
    return app
