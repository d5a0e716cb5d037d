"""Hearth on Ray Serve: each replica is a whole server, and Ray routes, scales and restarts replicas.

    serve run deploy.ray.app:build                                    # in Hearth's folder, with the extra `ray`
    serve run deploy.ray.app:build models=assistant max_replicas=8 session_affinity=true

A replica runs Hearth's own application behind Ray's proxy, so every route is served, streams included. Ray's defaults
let a replica work on 5 requests at once, which would starve continuous batching, so the limits are set here;
docs/ray.md explains the arguments.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ray
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from server.app import create_app
from server.settings import load_settings

PUBLISH_S = 2.0
"""The time between two publications of a replica's metrics."""
KEPT_S = 30.0
"""Metrics older than this belong to a replica that is gone."""
BOARD = "hearth-metrics"
ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"


class Arguments(BaseModel):
    """The arguments of ``build``. ``serve run`` passes them as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "hearth"
    """The name of the deployment."""
    models: str = ""
    """The ids of the models to serve, with commas; empty: all. ``HEARTH_*`` variables have the other settings."""
    cores: int = Field(2, ge=1)
    """The cores of a replica."""
    memory_mb: float = Field(0.0, ge=0)
    """The memory that Ray reserves for a replica; 0: none."""
    min_replicas: int = Field(1, ge=0)
    max_replicas: int = Field(4, ge=1)
    target_requests: float = Field(8.0, gt=0)
    """The number of requests a replica at which Ray neither adds nor removes replicas."""
    most_requests: int = Field(256, ge=1)
    """The most requests that a replica works on; its own queue answers 429 before that."""
    upscale_delay_s: float = Field(10.0, ge=0)
    downscale_delay_s: float = Field(300.0, ge=0)
    drain_s: float = Field(120.0, ge=0)
    """The time in which a replica that is removed finishes its requests."""
    session_affinity: bool = False
    """Whether requests with one ``x-session-id`` go to one replica, whose prefix cache has the conversation."""


@ray.remote(num_cpus=0)
class MetricsBoard:
    """The latest metrics of each replica, in Prometheus' text format."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[float, str]] = {}

    async def publish(self, replica: str, text: str) -> None:
        """Replace a replica's metrics, and forget those of replicas that are gone."""
        now_s = asyncio.get_running_loop().time()
        self._texts[replica] = now_s, text
        self._texts = {name: each for name, each in self._texts.items() if now_s - each[0] < KEPT_S}

    async def texts(self) -> dict[str, str]:
        """The metrics by replica."""
        return {name: text for name, (_, text) in self._texts.items()}


class _Everything:
    """A collector of all replicas' metrics, each sample with the label ``replica``."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        for replica, text in sorted(self._texts.items()):
            for family in text_string_to_metric_families(text):
                whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                whole.samples += [each._replace(labels={**each.labels, "replica": replica}) for each in family.samples]
        yield from merged.values()


class Replica:
    """One server."""

    def __init__(self, arguments: Arguments) -> None:
        flags = {"models": arguments.models or None, "cores": arguments.cores}
        self._settings = load_settings(flags)
        self._name = serve.get_replica_context().replica_id.unique_id
        self._board = MetricsBoard.options(name=BOARD, get_if_exists=True, lifetime="detached").remote()
        self._publishing: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The application, with the metrics of all replicas at ``/metrics``. It starts when its models are loaded."""
        app = create_app(self._settings)
        self._registry, self._metrics = app.state.registry, app.state.metrics
        app.router.routes[:] = [each for each in app.router.routes if getattr(each, "path", "") != "/metrics"]
        app.router.routes.append(Route("/metrics", self._scrape))
        begin = app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def begin_and_load(inner: FastAPI) -> AsyncIterator[Any]:
            async with begin(inner) as state:
                await self._registry.settled()
                yield state

        app.router.lifespan_context = begin_and_load
        return _without_request_id(app)

    async def check_health(self) -> None:
        """Report metrics. Ray replaces the replica if this raises.

        Raises:
            RuntimeError: every model has failed.
        """
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publish_for_ever())
        states = [each.state for each in self._registry.served()]
        if states and all(state == "failed" for state in states):
            raise RuntimeError("every model has failed")

    async def _publish_for_ever(self) -> None:
        while True:
            with contextlib.suppress(ray.exceptions.RayError):
                await self._board.publish.remote(self._name, await self._own_metrics())
            await asyncio.sleep(PUBLISH_S)

    async def _own_metrics(self) -> str:
        text, _ = await asyncio.to_thread(self._metrics.scrape, "")
        return bytes(text).decode()

    async def _scrape(self, request: Any) -> Response:
        texts = {**await self._board.texts.remote(), self._name: await self._own_metrics()}
        registry = CollectorRegistry()
        registry.register(_Everything(texts))  # type: ignore[arg-type]
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


def _without_request_id(app: ASGIApp) -> ASGIApp:
    """The application without the header ``x-request-id``, which Ray's proxy adds with the same value."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_rest(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [each for each in message["headers"] if each[0] != b"x-request-id"]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_rest)

    return wrapped


def build(args: dict[str, Any]) -> Application:
    """The application for ``serve run`` and for a Serve config file.

    Raises:
        ValidationError: an argument is unknown or not what it should be.
    """
    wanted = Arguments.model_validate(args)
    options: dict[str, Any] = {"num_cpus": wanted.cores}
    if wanted.memory_mb:
        options["memory"] = wanted.memory_mb * 1e6
    deployment = serve.deployment(
        name=wanted.name,
        ray_actor_options=options,
        max_ongoing_requests=wanted.most_requests,
        graceful_shutdown_timeout_s=wanted.drain_s,
        health_check_period_s=5.0,
        autoscaling_config=AutoscalingConfig(
            min_replicas=wanted.min_replicas,
            initial_replicas=max(1, wanted.min_replicas),
            max_replicas=wanted.max_replicas,
            target_ongoing_requests=wanted.target_requests,
            upscale_delay_s=wanted.upscale_delay_s,
            downscale_delay_s=wanted.downscale_delay_s,
        ),
    )(serve.ingress()(Replica))
    if wanted.session_affinity:
        deployment = deployment.options(request_router_config=RequestRouterConfig(request_router_class=ROUTER))
    return deployment.bind(wanted)
