"""For operators: is it alive, is it ready, what does it measure."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from server.api.deps import MetricsDep, RegistryDep
from server.api.request import JsonRoute

router = APIRouter(route_class=JsonRoute, tags=["Operations"])
scraping = APIRouter(route_class=JsonRoute, tags=["Operations"])
"""Apart, since it may have a port of its own."""


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the process answers, whatever its models do."""
    return {"status": "ok"}


@router.get("/ready", responses={503: {"description": "Not ready, and why."}})
async def ready(registry: RegistryDep) -> JSONResponse:
    """Say whether every model answers: 503 while one loads at the start, restarts or has failed, or the server leaves.

    A model that is unloaded, or is being loaded for a request, answers: the request waits for it.
    """
    models: dict[str, Any] = {}
    reasons = []
    if registry.refusal is not None:
        reasons.append(registry.refusal.message)
    elif registry.is_leaving:
        reasons.append("The server will shut down.")
    for served in registry.served():
        models[served.id] = {"state": served.state}
        if served.reason:
            models[served.id]["reason"] = served.reason
        if served.reason and not served.is_file:
            reasons.append(f"{served.id}: {served.reason}")
    if not models:
        reasons.append("There are no models.")
    body = {"status": "not ready" if reasons else "ready", "reasons": reasons, "models": models}
    return JSONResponse(body, 503 if reasons else 200, {"retry-after": "1"} if reasons else None)


@scraping.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
async def scrape(request: Request, metrics: MetricsDep) -> Response:
    """Tell all metrics, as Prometheus text, or as OpenMetrics to those who accept it."""
    # In a thread: the kernel adds up the memory of every engine for it, which takes it a millisecond a model.
    text, content_type = await asyncio.to_thread(metrics.scrape, request.headers.get("accept", ""))
    return Response(text, headers={"content-type": content_type})
