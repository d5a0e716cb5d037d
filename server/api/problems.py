"""Errors as a client sees them: one shape on every path (``peers``), whoever raised.

Our own errors carry everything; what the framework raises (no route, wrong method, a body that does not
fit its schema) is translated into one of ours first. A foreign exception's text never reaches a client.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from server.api.peers import peer_of
from server.api.record import KEY, Record
from server.errors import (
    BadRequest,
    InvalidValue,
    MethodNotAllowed,
    NotAuthenticated,
    RouteNotFound,
    ServerError,
    UnsupportedParameter,
)

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
"""Pydantic's errors that say of which type a value is not."""


def headers_of(error: ServerError) -> dict[str, str]:
    """What tells a client whether and when to come back."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 504:
        headers["x-should-retry"] = "false"  # the official client would send the same again, three times
    if error.status == 408:
        headers["connection"] = "close"  # the rest of the request is not waited for
    if isinstance(error, NotAuthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allowed
    return headers


def response_of(error: ServerError, path: str = "") -> JSONResponse:
    """The whole answer on a path; before a path is known, OpenAI's."""
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


def _clearest(errors: Sequence[Any], body: Any) -> Any:
    """The first error; where a field may have several types, that of the type it came closest to.

    This is the one that is furthest within the value; as far as another, the one that blames no type, for it is of the
    type that was sent. Where all blame the type, they are one error that names each.
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
    """The dotted name of a field. The location also names branches of unions, which are no fields."""
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
