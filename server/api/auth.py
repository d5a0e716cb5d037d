"""API keys: who may call. Keys are known by their SHA-256 only and compared in constant time."""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api import problems
from server.api.record import KEY
from server.errors import NotAuthenticated

OPEN = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json"})
"""Paths that need no key: they say nothing of users, and probes and browsers cannot send one."""


class Keys:
    """Lets requests with a known key pass, all others get 401. Not installed when there are no keys."""

    def __init__(self, app: ASGIApp, hashes: Sequence[str]) -> None:
        self._app = app
        self._hashes = [value.lower().encode() for value in hashes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] != "http" or scope["path"] in OPEN or self._knows(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        error = scope[KEY].error = NotAuthenticated()
        await problems.response_of(error)(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest().encode()
        # Every hash is compared, so that the time taken says nothing of where a match is.
        matches = [hmac.compare_digest(digest, known) for known in self._hashes]
        return scheme.lower() == "bearer" and any(matches)
