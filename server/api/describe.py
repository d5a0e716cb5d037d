"""``/openapi.json``: FastAPI's description with our errors in it, for its own are never sent."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

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


PEERS: Sequence[tuple[re.Pattern[str], Sequence[str], Mapping[str, str]]] = (
    (re.compile("/(translate|translate_file|detect|languages|frontend/settings)"), ("error",), {}),
    (re.compile("/v2/.*"), ("message",), {"401": "403"}),
    (re.compile("/predict"), ("error", "error_type"), {"400": "422"}),
)
"""Routes whose errors have the shape of another server: its fields, all texts, and its statuses for ours."""


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
        "properties": {"error": {"$ref": "#/components/schemas/Problem"}},
        "required": ["error"],
    }
    for path, methods in api["paths"].items():
        schema, statuses = _errors_of(path)
        content = {"application/json": {"schema": schema}}
        for route in methods.values():
            replaced = route["responses"].pop("422", None)
            if replaced is not None and "requestBody" in route:
                for status, about in STATUSES.items():
                    told = {"description": about, "content": content}
                    route["responses"].setdefault(statuses.get(status, status), told)
            elif replaced is not None:
                route["responses"].setdefault("404", {"description": STATUSES["404"], "content": content})
    return api


def _errors_of(path: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The schema of a route's errors, and its statuses where they are not ours."""
    for pattern, fields, statuses in PEERS:
        if pattern.fullmatch(path):
            properties = {field: {"type": "string"} for field in fields}
            return {"type": "object", "properties": properties, "required": list(fields)}, statuses
    return {"$ref": "#/components/schemas/ProblemBody"}, {}
