"""Errors as answers: every exception in OpenAI's shape, or in the shape of the peer whose path was asked.

The table `PEERS` says which peer's shape a path has. All refusals of requests are written here: those of routes, the
framework (404, 405), keys, hosts and limits. `describe` writes the same errors into ``/openapi.json``. This module
knows no routes.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from server.api.record import KEY, Record
from server.errors import (
    BadRequest,
    ContextLengthExceeded,
    InvalidValue,
    MethodNotAllowed,
    NotAuthenticated,
    RouteNotFound,
    ServerError,
    UnsupportedParameter,
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server whose clients find its own errors here."""

    paths: re.Pattern[str]
    """Its paths, including those that are not served: a client reads a 404 in its own shape too."""
    write: Callable[[ServerError], dict[str, Any]]
    """The body of an error."""
    properties: Mapping[str, Mapping[str, Any]]
    """JSON Schemas of the fields of such a body."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """The peer's status for each of ours, where they differ."""
    body_keyed: frozenset[str] = frozenset()
    """Paths whose clients may send the key in the body: their routes call ``require_key``."""

    def status(self, error: ServerError) -> int:
        """The status of an error."""
        return self.statuses.get(error.status, error.status)


def _openai(error: ServerError) -> dict[str, Any]:
    facts = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
    return {"error": facts}


def _inference(error: ServerError) -> dict[str, Any]:
    kinds = {429: "Overloaded", 503: "Unhealthy"}
    kind = kinds.get(error.status, "Validation" if error.status < 500 else "Backend")
    return {"error": error.message, "error_type": kind}


def _anthropic(error: ServerError) -> dict[str, Any]:
    message = error.message
    if isinstance(error, ContextLengthExceeded):  # libraries look for these words
        needed = error.prompt_tokens + error.completion_tokens
        message = f"prompt is too long: {needed} tokens > {error.context_tokens} maximum"
    elif error.param is not None and error.param not in message:  # such an error names no field elsewhere
        message = f"{error.param}: {message}"
    kind = ANTHROPIC_KINDS.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


ANTHROPIC_KINDS: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

TEXT: Mapping[str, str] = {"type": "string"}

OPENAI = Peer(re.compile(".*"), _openai, {"error": {"$ref": "#/components/schemas/Problem"}})

PEERS: Sequence[Peer] = (
    Peer(re.compile(r"/v2/rerank"), lambda error: {"message": error.message}, {"message": TEXT}),
    Peer(
        re.compile(r"/(translate|translate_file|detect|languages|suggest|frontend/settings|download_file/.*)"),
        lambda error: {"error": error.message},
        {"error": TEXT},
        {401: 403, 413: 400},
        frozenset({"/translate", "/translate_file", "/detect"}),
    ),
    Peer(
        re.compile(r"/v[23]/.*"),
        lambda error: {"message": error.message},
        {"message": TEXT},
        {401: 403},
        frozenset({"/v2/translate", "/v2/document"}),
    ),
    Peer(
        re.compile(r"/(predict|rerank|embed|embed_all|embed_sparse|similarity|info|decode|pipeline/.*)"),
        _inference,
        {"error": TEXT, "error_type": TEXT},
        {400: 422},
    ),
    Peer(re.compile(r"/api/.*"), lambda error: {"error": error.message}, {"error": TEXT}),
    Peer(
        re.compile(r"/v1/messages(/.*)?"),
        _anthropic,
        {"type": TEXT, "error": {"type": "object", "properties": {"type": TEXT, "message": TEXT}}},
    ),
)
"""Cohere, LibreTranslate, DeepL, text-embeddings-inference, Ollama, Anthropic; vLLM's errors are OpenAI's."""


def peer_of(path: str) -> Peer:
    """The peer that has this path; OpenAI if no other has."""
    return next((peer for peer in PEERS if peer.paths.fullmatch(path)), OPENAI)


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Have a refusal of a task name the field as the body of the route does.

    Args:
        names: the body's names by those of chat, which tasks use.
    """
    try:
        yield
    except ServerError as error:
        name, dot, rest = (error.param or "").partition(".")
        if (renamed_to := names.get(name)) is not None:
            error.field = f"{renamed_to}{dot}{rest}"  # type: ignore[attr-defined]  # what has a param has a field
        raise


QUOTE = "'"
TYPES: Mapping[str, str] = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_type": "a string",
}
"""Pydantic's types of errors for a value of the wrong type."""


def headers_of(error: ServerError) -> dict[str, str]:
    """Headers that tell a client whether and when to try again."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 504:
        headers["x-should-retry"] = "false"  # else the official client sends the same request three more times
    if error.status == 408:
        headers["connection"] = "close"  # the server does not wait for the rest of the request
    if isinstance(error, NotAuthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allowed
    return headers


def response_of(error: ServerError, path: str = "") -> JSONResponse:
    """The whole answer on a path; in OpenAI's shape before the path is known."""
    peer = peer_of(path)
    return JSONResponse(peer.write(error), peer.status(error), headers_of(error))


def install(app: FastAPI) -> None:
    """Have every error of every route answered by this module."""
    app.add_exception_handler(ServerError, _ours)
    app.add_exception_handler(HTTPException, _the_frameworks)
    app.add_exception_handler(RequestValidationError, _a_bad_body)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServerError)  # noqa: S101  for the type checker
    record: Record | None = request.scope.get(KEY)
    if record is not None:
        record.fail(error)
    return response_of(error, request.scope["path"])


async def _the_frameworks(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  for the type checker
    ours: ServerError
    if error.status_code == 404:
        ours = RouteNotFound(request.url.path[:200])
    elif error.status_code == 405:
        ours = MethodNotAllowed(request.method, (error.headers or {}).get("Allow", "another method"))
    else:
        ours = BadRequest("The request is malformed.")
    return await _ours(request, ours)


async def _a_bad_body(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  for the type checker
    return await _ours(request, from_validation(error.errors(), error.body))


def from_validation(errors: Sequence[Any], body: Any) -> ServerError:
    """The first thing that is wrong, named by its field."""
    errors = [error | {"loc": _without_tag(error["loc"])} for error in errors]
    first = _clearest(errors, body)
    where, kind = tuple(first["loc"]), first["type"]
    context: Mapping[str, Any] = first.get("ctx") or {}
    if kind == "json_invalid":
        return BadRequest(f"The body is not valid JSON: {context.get('error', 'it cannot be parsed')}.")
    if where[:1] != ("body",):
        return InvalidValue(f"{'.'.join(map(str, where))}: {first['msg']}.", str(where[-1]))
    if where == ("body",) and kind == "missing":
        return BadRequest("The body is empty; send a JSON object.")
    if not isinstance(body, dict):
        return BadRequest("The body must be a JSON object.")
    field = _field(where[1:], body, kind, context)
    if kind == "unsupported_parameter":
        return UnsupportedParameter(field or "body", str(context.get("why", "")))
    if kind == "extra_forbidden":
        return InvalidValue(f"There is no parameter '{field}'.{_hint(field, context)}", field)
    if kind == "missing":
        return InvalidValue(f"'{field}' is missing.", field)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        field = f"{field}.{str(context['discriminator']).strip(QUOTE)}" if field else None
        one_of = f"must be one of {context['expected_tags']}" if "expected_tags" in context else "is missing"
        return InvalidValue(f"'{field}' {one_of}.", field)
    message = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    return InvalidValue(f"'{field}': {message}." if field else f"{message}.", field)


def _without_tag(where: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A location without the tag of a body's shape: on some paths two peers' shapes meet."""
    return (*where[:1], *where[2:]) if len(where) > 1 and str(where[1]).startswith("@") else where


def _clearest(errors: Sequence[Any], body: Any) -> Any:
    """The first error. If a field may have several types, it is the error of the type that the value comes closest to.

    That error lies furthest within the value. Of equally far ones it is one that does not blame the type, since the
    value has the right type there. If all blame the type, they become one error that names each type.
    """
    field = errors[0]["loc"][:2]
    same = [error for error in errors if error["loc"][:2] == field]
    depths = [(_field(error["loc"][1:], body, error["type"], {}) or "").count(".") for error in same]
    deepest = [error for error, depth in zip(same, depths, strict=True) if depth == max(depths)]
    if (fits := next((error for error in deepest if error["type"] not in TYPES), None)) is not None:
        return fits
    wanted = dict.fromkeys(TYPES[error["type"]] for error in deepest if error["loc"][:-1] == deepest[0]["loc"][:-1])
    return deepest[0] | {"msg": f"must be {' or '.join(wanted)}"}


def _field(where: Sequence[int | str], body: Any, kind: str, context: Mapping[str, Any]) -> str | None:
    """The dotted name of a field. The location also names branches of unions, which are not fields."""
    names: list[str] = []
    at: Any = body
    for place, part in enumerate(where):
        if isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
        elif isinstance(at, dict) and part in at:
            at = at[str(part)]
        elif not (kind == "missing" and place == len(where) - 1):
            continue
        names.append(str(part))
    if name := context.get("field"):
        names.append(str(name))
    return ".".join(names)[:200] or None


def _hint(field: str | None, context: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches((field or "").rsplit(".", 1)[-1][:100], context.get("known", ()), 1)
    return f" Did you mean '{close[0]}'?" if close else ""


NEVER_SENT = ("HTTPValidationError", "ValidationError")
STATUSES: Mapping[str, str] = {
    "400": "A field is wrong or cannot be honoured; `param` names it.",
    "401": "No API key, or an unknown one, on a server that needs keys.",
    "403": "The API key may not use this model.",
    "404": "No such model; the message lists the models.",
    "408": "The body did not arrive in time.",
    "413": "The body or a list is too large.",
    "415": "The body is not JSON.",
    "429": "The queue is full, or the API key has used up its rate; `retry-after` says when to try again.",
    "500": "A defect of the server, or its engine failed.",
    "503": "Not now: loading, restarting or shutting down; `retry-after` says when to try again.",
    "504": "The request took longer than the server allows.",
}


class Problem(BaseModel):
    """The error."""

    message: str = Field(description="What is wrong and what would be right.", examples=["'input' is missing."])
    type: str = Field(description="The kind of error.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field that is wrong, dotted for nested ones.", examples=["input"])
    code: str | None = Field(description="The error itself, for programs.", examples=["invalid_value"])


def describe(app: FastAPI) -> None:
    """Write our errors into the OpenAPI description, when it is first asked for."""
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
