"""The tree of errors a client can see.

    ServerError                     500  a defect of ours; the message says nothing of the inside
    ├── BadRequest                  400
    │   ├── InvalidValue            400  a field has a value it cannot have
    │   ├── UnsupportedParameter    400  this model's engine cannot honour the field exactly
    │   ├── ContextLengthExceeded   400  the prompt leaves no room for a completion
    │   └── InputTooLong            400  one text has more tokens than the model reads
    ├── NotAuthenticated            401
    ├── RouteNotFound               404
    ├── ExtraNotInstalled           404  names the extra to install
    ├── ModelNotFound               404  lists the models there are
    ├── MethodNotAllowed            405
    ├── ModelBusy                   409  it is not unloaded now; ``retry_after_s``
    ├── TooLarge                    413  body or list over its limit
    ├── UnsupportedMediaType        415
    ├── Overloaded                  429  the queue is full; ``retry_after_s``
    ├── ClientLeft                  499  logs and metrics only; nobody is there to read it
    ├── EngineFailed                500  the engine failed on this row, and once more on a fresh engine
    ├── Unavailable                 503  loading, draining, restarting; ``retry_after_s``
    └── DeadlinePassed              504  the request's own deadline passed

Errors of requests that are refused whatever they ask for (keys, rates, slow or large requests) come last.

Errors are facts with typed fields. This module knows no HTTP library: ``status`` is the number a
client sees, ``kind`` and ``code`` are the ``type`` and ``code`` of OpenAI's error shape.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

LOG_SAYS_MORE = "The server's log says more."
"""Ends a reason whose details (files, exceptions) are for the operator alone."""


@dataclass(eq=False)
class ServerError(Exception):
    """Something the client is told. Picklable: engines raise these in processes of their own.

    A subclass states its status, kind and code where they differ from its parent's. Its field ``field`` is the
    name of the parameter that is wrong, its field ``wait_s`` says when to come back.
    """

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"

    def __init_subclass__(cls, status: int | None = None, kind: str | None = None, code: str | None = None) -> None:
        cls.status, cls.kind, cls.code = status or cls.status, kind or cls.kind, code or cls.code

    @property
    def message(self) -> str:
        """The fault, and the right form, in one or two sentences."""
        return "The server failed to handle this request. Its log names the request id and the cause."

    @property
    def param(self) -> str | None:
        """The name of the field that is wrong, dotted for nested ones."""
        return getattr(self, "field", None)

    @property
    def retry_after_s(self) -> float | None:
        """After how many seconds the same request may succeed; None when it never will."""
        return getattr(self, "wait_s", None)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), {f.name: getattr(self, f.name) for f in fields(self)})


def _rebuild(cls: type[ServerError], values: dict[str, Any]) -> ServerError:
    error = cls.__new__(cls)
    for name, value in values.items():
        setattr(error, name, value)
    return error


@dataclass(eq=False)
class BadRequest(ServerError, status=400, kind="invalid_request_error", code="invalid_request"):
    """The request is malformed in a way no single field explains."""

    reason: str
    field: str | None = None

    @property
    def message(self) -> str:
        return self.reason


@dataclass(eq=False)
class InvalidValue(BadRequest, code="invalid_value"):
    """A field has a value it cannot have."""


@dataclass(eq=False)
class UnsupportedParameter(ServerError, status=400, kind="invalid_request_error", code="unsupported_parameter"):
    """The field is well formed, but this model's engine cannot honour it exactly."""

    field: str
    why: str

    @property
    def message(self) -> str:
        return f"'{self.field}' is not supported here: {self.why}"


@dataclass(eq=False)
class ContextLengthExceeded(ServerError, status=400, kind="invalid_request_error", code="context_length_exceeded"):
    """The prompt leaves no room for the least completion that was asked for. Libraries know it by OpenAI's words."""

    prompt_tokens: int
    completion_tokens: int
    context_tokens: int
    field: str = "messages"

    @property
    def message(self) -> str:
        part = self.field.partition(".")[0]
        return (
            f"This model's maximum context length is {self.context_tokens} tokens. However, you requested "
            f"{self.prompt_tokens + self.completion_tokens} tokens ({self.prompt_tokens} in the {part}, "
            f"{self.completion_tokens} in the completion). Please reduce the length of the {part}."
        )


@dataclass(eq=False)
class InputTooLong(ServerError, status=400, kind="invalid_request_error", code="context_length_exceeded"):
    """One input has more tokens than the model reads; nothing is cut."""

    tokens: int
    context_tokens: int
    index: int = 0
    field: str = "input"

    @property
    def message(self) -> str:
        return (
            f"This model's maximum context length is {self.context_tokens} tokens. However, input {self.index} has "
            f"{self.tokens} tokens. Please reduce its length, or split it."
        )


@dataclass(eq=False)
class NotAuthenticated(ServerError, status=401, kind="authentication_error", code="invalid_api_key"):
    """No API key, or one that is not known here."""

    @property
    def message(self) -> str:
        return "A valid API key is needed: send it as 'Authorization: Bearer KEY' or as 'x-api-key: KEY'."


@dataclass(eq=False)
class RouteNotFound(ServerError, status=404, kind="invalid_request_error", code="unknown_url"):
    """No such path."""

    path: str

    @property
    def message(self) -> str:
        return f"There is nothing at {self.path}. See /docs for what there is."


@dataclass(eq=False)
class ExtraNotInstalled(ServerError, status=404, kind="invalid_request_error", code="extra_not_installed"):
    """The path needs packages that were not installed with the server."""

    extra: str
    command: str
    """The command that installs them."""

    @property
    def message(self) -> str:
        return f"The server was installed without its extra '{self.extra}'. To install it: {self.command}"


@dataclass(eq=False)
class ModelNotFound(ServerError, status=404, kind="invalid_request_error", code="model_not_found"):
    """No model of this name serves this task."""

    name: str
    task: str
    known: Sequence[str]

    @property
    def message(self) -> str:
        there = ", ".join(self.known)
        if not self.name:
            return f"Name a model for {self.task}: {there}." if there else f"There is no model for {self.task}."
        there = there or "none"
        return f"There is no model '{self.name}' for {self.task}. Models for it: {there}."

    @property
    def param(self) -> str | None:
        return "model"


@dataclass(eq=False)
class MethodNotAllowed(ServerError, status=405, kind="invalid_request_error", code="method_not_allowed"):
    """The path exists, the method does not."""

    method: str
    allowed: str

    @property
    def message(self) -> str:
        return f"{self.method} is not allowed here; use {self.allowed}."


@dataclass(eq=False)
class ModelBusy(ServerError, status=409, kind="conflict_error", code="model_busy"):
    """A model with work, or one on its way into memory, is not unloaded."""

    name: str
    wait_s: float = 1.0

    @property
    def message(self) -> str:
        return f"The model '{self.name}' has work or is being loaded, so it is not unloaded now."


@dataclass(eq=False)
class TooLarge(ServerError, status=413, kind="invalid_request_error", code="too_large"):
    """A body, a list or a text is over its limit."""

    what: str
    size: int
    limit: int
    unit: str = "bytes"
    field: str | None = None

    @property
    def message(self) -> str:
        return f"{self.what} is too large: {self.size} {self.unit}, at most {self.limit}. Send it in parts."


@dataclass(eq=False)
class UnsupportedMediaType(ServerError, status=415, kind="invalid_request_error", code="unsupported_media_type"):
    """The body is of a type this route does not read."""

    got: str
    expected: str

    @property
    def message(self) -> str:
        return f"The body's type is {self.got or 'not stated'}; send {self.expected}."


@dataclass(eq=False)
class Overloaded(ServerError, status=429, kind="rate_limit_error", code="overloaded"):
    """Too many rows are waiting; the client should come back in ``wait_s`` seconds."""

    wait_s: float

    @property
    def message(self) -> str:
        return f"The queue is full. Try again in {self.wait_s:.0f} s."


@dataclass(eq=False)
class ClientLeft(ServerError, status=499, kind="client_closed_request", code="client_left"):
    """The client closed the connection before its answer was ready."""

    @property
    def message(self) -> str:
        return "The client left."


@dataclass(eq=False)
class EngineFailed(ServerError, code="engine_failed"):
    """The engine failed on this row. ``detail`` is for the log and never sent."""

    detail: str = ""

    @property
    def message(self) -> str:
        return "The model's engine failed on this request. The server log names the cause."


@dataclass(eq=False)
class GrammarTooLarge(ServerError, status=400, kind="invalid_request_error", code="schema_too_large"):
    """A limit of the grammar was exceeded while an answer was written under its schema."""

    detail: str = ""

    @property
    def message(self) -> str:
        return "What it takes to hold the answer to its schema is too large: simplify its patterns and its steps."


@dataclass(eq=False)
class Unavailable(ServerError, status=503, kind="service_unavailable_error", code="unavailable"):
    """Not now: the model is loading or restarting, or the server is draining."""

    reason: str
    wait_s: float = 1.0

    @property
    def message(self) -> str:
        return f"{self.reason} Try again in {self.wait_s:.0f} s."


@dataclass(eq=False)
class DeadlinePassed(ServerError, status=504, kind="timeout_error", code="deadline_passed"):
    """The request took longer than it was given."""

    limit_s: float

    @property
    def message(self) -> str:
        return f"No answer within {self.limit_s:.0f} s, the limit for a request here."


@dataclass(eq=False)
class ModelNotAllowed(ServerError, status=403, kind="permission_error", code="model_not_allowed"):
    """The key is known here, but this model is none of those it may use."""

    name: str
    allowed: Sequence[str]

    @property
    def message(self) -> str:
        return f"This API key may not use the model '{self.name}'. It may use: {', '.join(self.allowed) or 'none'}."

    @property
    def param(self) -> str | None:
        return "model"


@dataclass(eq=False)
class HostNotAllowed(ServerError, status=403, kind="permission_error", code="host_not_allowed"):
    """A server without keys was asked under a name that is not its machine's."""

    @property
    def message(self) -> str:
        return (
            "A server without keys answers under names of its own machine. "
            "Ask localhost, or name the host in allowed_hosts."
        )


@dataclass(eq=False)
class OriginNotAllowed(ServerError, status=403, kind="permission_error", code="origin_not_allowed"):
    """A page of another server called a route that is not for pages."""

    @property
    def message(self) -> str:
        return "Pages of other servers may not call this route. Name the page's origin in cors_origins."


@dataclass(eq=False)
class TooSlow(ServerError, status=408, kind="timeout_error", code="request_timeout"):
    """The request did not arrive in time."""

    what: str
    limit_s: float

    @property
    def message(self) -> str:
        return f"{self.what} did not arrive within {self.limit_s:g} s."


@dataclass(eq=False)
class RateLimited(ServerError, status=429, kind="rate_limit_error", code="rate_limit_exceeded"):
    """The key has used up its rate; it has some again in ``wait_s`` seconds."""

    limit: int
    unit: str
    wait_s: float

    @property
    def message(self) -> str:
        return f"This API key may use {self.limit} {self.unit} a minute. Try again in {math.ceil(self.wait_s)} s."


@dataclass(eq=False)
class HeadTooLarge(ServerError, status=431, kind="invalid_request_error", code="head_too_large"):
    """The request line and the headers are over their limits."""

    limit_bytes: int
    limit_headers: int

    @property
    def message(self) -> str:
        return f"The head of a request may have {self.limit_bytes} bytes and {self.limit_headers} headers."
