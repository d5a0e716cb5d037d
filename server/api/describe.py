"""``/openapi.json``: FastAPI's description with our errors in it, for its own are never sent."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from server.api.peers import OPENAI, Peer, peer_of

NEVER_SENT = ("HTTPValidationError", "ValidationError")
STATUSES: Mapping[str, str] = {
    "400": "A field is wrong or cannot be honoured; `param` names it.",
    "401": "No API key, or an unknown one; only where the server wants keys.",
    "403": "The API key may not use this model.",
    "404": "No such model; the message lists those there are.",
    "408": "The body did not arrive in time.",
    "413": "The body or a list is too large.",
    "415": "The body is not JSON.",
    "429": "The queue is full, or the API key has used up its rate; `retry-after` says when to come back.",
    "500": "A defect of the server, or its engine failed.",
    "503": "Not now: loading, restarting or shutting down; `retry-after` says when to come back.",
    "504": "The request took longer than the server allows.",
}


class Problem(BaseModel):
    """What is wrong."""

    message: str = Field(description="What is wrong and what would be right.", examples=["'input' is missing."])
    type: str = Field(description="The kind of error.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field that is wrong, dotted for nested ones.", examples=["input"])
    code: str | None = Field(description="The error itself, for programs.", examples=["invalid_value"])


def install(app: FastAPI) -> None:
    """Have the application describe itself so; made at the first request for it."""
    made = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = with_problems(made())
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's documented way


def with_problems(api: dict[str, Any]) -> dict[str, Any]:
    """Put our errors in the place of FastAPI's."""
    schemas = api.setdefault("components", {}).setdefault("schemas", {})
    for name in NEVER_SENT:
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    schemas["ProblemBody"] = {
        "title": "ProblemBody",
        "type": "object",
        "description": "Every error of every route.",
        "properties": dict(OPENAI.properties),
        "required": list(OPENAI.properties),
    }
    for path, methods in api["paths"].items():
        peer = peer_of(path)
        content = {"application/json": {"schema": _schema_of(peer)}}
        for route in methods.values():
            replaced = route["responses"].pop("422", None)
            if replaced is not None and "requestBody" in route:
                for status, about in STATUSES.items():
                    told = {"description": about, "content": content}
                    route["responses"].setdefault(str(peer.statuses.get(int(status), status)), told)
            elif replaced is not None:
                route["responses"].setdefault("404", {"description": STATUSES["404"], "content": content})
    return api


def _schema_of(peer: Peer) -> dict[str, Any]:
    if peer is OPENAI:
        return {"$ref": "#/components/schemas/ProblemBody"}
    return {"type": "object", "properties": dict(peer.properties), "required": list(peer.properties)}
