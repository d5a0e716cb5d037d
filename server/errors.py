"""The tree of errors a client can see.

    ServerError                     500  a defect of ours; the message says nothing of the inside
    ├── BadRequest                  400
    │   ├── InvalidValue            400  a field has a value it cannot have
    │   ├── UnsupportedParameter    400  this model's engine cannot honour the field exactly
    │   ├── ContextLengthExceeded   400  prompt plus completion do not fit the context
    │   └── InputTooLong            400  one text has more tokens than the model reads
    ├── NotAuthenticated            401
    ├── NotAllowed                  403
    ├── RouteNotFound               404
    ├── ModelNotFound               404  lists the models there are
    ├── MethodNotAllowed            405
    ├── TooLarge                    413  body or list over its limit
    ├── UnsupportedMediaType        415
    ├── Overloaded                  429  the line is full; ``retry_after_s``
    ├── ClientLeft                  499  logs and metrics only; nobody is there to read it
    ├── EngineFailed                500  the engine failed on this row, and once more on a fresh engine
    ├── Unavailable                 503  loading, draining, restarting; ``retry_after_s``
    └── DeadlinePassed              504  the request's own deadline passed

Errors are facts with typed fields. This module knows no HTTP library: ``status`` is the number a
client sees, ``kind`` and ``code`` are the ``type`` and ``code`` of OpenAI's error shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(eq=False)
class ServerError(Exception):
    """Something the client is told. Picklable: engines raise these in processes of their own."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"

    @property
    def message(self) -> str:
        """What is wrong and what would be right, in one or two sentences."""
        return "The server failed to handle this request. Its log names the request id and the cause."

    @property
    def param(self) -> str | None:
        """The name of the field that is wrong, dotted for nested ones."""
        return None

    @property
    def retry_after_s(self) -> float | None:
        """After how many seconds the same request may succeed; None when it never will."""
        return None

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), {f.name: getattr(self, f.name) for f in fields(self)})


def _rebuild(cls: type[ServerError], values: dict[str, Any]) -> ServerError:
    error = cls.__new__(cls)
    for name, value in values.items():
        object.__setattr__(error, name.removeprefix("_"), value)
    return error


@dataclass(eq=False)
class BadRequest(ServerError):
    """The request is malformed in a way no single field explains."""

    reason: str
    field: str | None = None

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "invalid_request"

    @property
    def message(self) -> str:
        return self.reason

    @property
    def param(self) -> str | None:
        return self.field


@dataclass(eq=False)
class InvalidValue(BadRequest):
    """A field has a value it cannot have."""

    code: ClassVar[str] = "invalid_value"


@dataclass(eq=False)
class UnsupportedParameter(ServerError):
    """The field is well formed, but this model's engine cannot honour it exactly."""

    field: str
    why: str

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "unsupported_parameter"

    @property
    def message(self) -> str:
        return f"'{self.field}' is not supported here: {self.why}"

    @property
    def param(self) -> str | None:
        return self.field


@dataclass(eq=False)
class ContextLengthExceeded(ServerError):
    """The prompt and the completion asked for do not fit the context together."""

    prompt_tokens: int
    completion_tokens: int
    context_tokens: int
    field: str = "messages"

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "context_length_exceeded"

    @property
    def message(self) -> str:
        return (
            f"This model's context is {self.context_tokens} tokens. The prompt has {self.prompt_tokens} and "
            f"{self.completion_tokens} were asked for the completion. Shorten one of them."
        )

    @property
    def param(self) -> str | None:
        return self.field


@dataclass(eq=False)
class InputTooLong(ServerError):
    """One input has more tokens than the model reads; nothing is cut."""

    tokens: int
    context_tokens: int
    index: int = 0
    field: str = "input"

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "context_length_exceeded"

    @property
    def message(self) -> str:
        return (
            f"Input {self.index} has {self.tokens} tokens and this model reads at most {self.context_tokens}. "
            "Shorten it or split it."
        )

    @property
    def param(self) -> str | None:
        return self.field


@dataclass(eq=False)
class NotAuthenticated(ServerError):
    """No API key, or one that is not known here."""

    status: ClassVar[int] = 401
    kind: ClassVar[str] = "authentication_error"
    code: ClassVar[str] = "invalid_api_key"

    @property
    def message(self) -> str:
        return "A valid API key is needed: send it as 'Authorization: Bearer KEY'."


@dataclass(eq=False)
class NotAllowed(ServerError):
    """The key is known but may not do this."""

    what: str

    status: ClassVar[int] = 403
    kind: ClassVar[str] = "permission_error"
    code: ClassVar[str] = "not_allowed"

    @property
    def message(self) -> str:
        return f"This API key may not use {self.what}."


@dataclass(eq=False)
class RouteNotFound(ServerError):
    """No such path."""

    path: str

    status: ClassVar[int] = 404
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "unknown_url"

    @property
    def message(self) -> str:
        return f"There is nothing at {self.path}. See /docs for what there is."


@dataclass(eq=False)
class ModelNotFound(ServerError):
    """No model of this name serves this task."""

    name: str
    task: str
    known: Sequence[str]

    status: ClassVar[int] = 404
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "model_not_found"

    @property
    def message(self) -> str:
        there = ", ".join(self.known) or "none"
        return f"There is no model '{self.name}' for {self.task}. Models for it: {there}."

    @property
    def param(self) -> str | None:
        return "model"


@dataclass(eq=False)
class MethodNotAllowed(ServerError):
    """The path exists, the method does not."""

    method: str
    allowed: str

    status: ClassVar[int] = 405
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "method_not_allowed"

    @property
    def message(self) -> str:
        return f"{self.method} is not allowed here; use {self.allowed}."


@dataclass(eq=False)
class TooLarge(ServerError):
    """A body, a list or a text is over its limit."""

    what: str
    size: int
    limit: int
    unit: str = "bytes"
    field: str | None = None

    status: ClassVar[int] = 413
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "too_large"

    @property
    def message(self) -> str:
        return f"{self.what} is too large: {self.size} {self.unit}, at most {self.limit}. Send it in parts."

    @property
    def param(self) -> str | None:
        return self.field


@dataclass(eq=False)
class UnsupportedMediaType(ServerError):
    """The body is of a type this route does not read."""

    got: str
    expected: str

    status: ClassVar[int] = 415
    kind: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "unsupported_media_type"

    @property
    def message(self) -> str:
        return f"The body's type is {self.got or 'not stated'}; send {self.expected}."


@dataclass(eq=False)
class Overloaded(ServerError):
    """Too many rows are waiting; the client should come back in ``wait_s`` seconds."""

    wait_s: float

    status: ClassVar[int] = 429
    kind: ClassVar[str] = "rate_limit_error"
    code: ClassVar[str] = "overloaded"

    @property
    def message(self) -> str:
        return f"The queue is full. Try again in {self.wait_s:.0f} s."

    @property
    def retry_after_s(self) -> float | None:
        return self.wait_s


@dataclass(eq=False)
class ClientLeft(ServerError):
    """The client closed the connection before its answer was ready."""

    status: ClassVar[int] = 499
    kind: ClassVar[str] = "client_closed_request"
    code: ClassVar[str] = "client_left"

    @property
    def message(self) -> str:
        return "The client left."


@dataclass(eq=False)
class EngineFailed(ServerError):
    """The engine failed on this row. ``detail`` is for the log and never sent."""

    detail: str = ""

    code: ClassVar[str] = "engine_failed"

    @property
    def message(self) -> str:
        return "The model's engine failed on this request. The server log names the cause."


@dataclass(eq=False)
class Unavailable(ServerError):
    """Not now: the model is loading or restarting, or the server is draining."""

    reason: str
    wait_s: float = 1.0

    status: ClassVar[int] = 503
    kind: ClassVar[str] = "service_unavailable_error"
    code: ClassVar[str] = "unavailable"

    @property
    def message(self) -> str:
        return f"{self.reason} Try again in {self.wait_s:.0f} s."

    @property
    def retry_after_s(self) -> float | None:
        return self.wait_s


@dataclass(eq=False)
class DeadlinePassed(ServerError):
    """The request took longer than it was given."""

    limit_s: float

    status: ClassVar[int] = 504
    kind: ClassVar[str] = "timeout_error"
    code: ClassVar[str] = "deadline_passed"

    @property
    def message(self) -> str:
        return f"No answer within {self.limit_s:.0f} s, the limit for a request here."
