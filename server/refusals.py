"""Errors of requests that are turned away at the door, whatever they ask for.

ServerError
├── ModelNotAllowed   403  the key is known, the model is not for it
├── HostNotAllowed    403  asked under another machine's name: a web page would reach a server without keys
├── TooSlow           408  head or body did not arrive in time
├── RateLimited       429  the key has used up its rate; ``retry_after_s``
└── HeadTooLarge      431  request line and headers are over their limits
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.errors import ServerError


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
