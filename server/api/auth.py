"""API keys: who may call. Keys are known by their SHA-256 only and compared in constant time."""

import hashlib
import hmac
from collections.abc import Callable, Sequence

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.record import KEY
from server.errors import NotAuthenticated, ServerError
from server.settings import Settings

OPEN = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json", "/languages", "/frontend/settings"})
"""Paths that need no key: they say nothing of users, and probes, browsers and LibreTranslate's clients send none."""


BODY_KEYED = frozenset({"/translate", "/detect"})
"""Paths whose clients may send the key in the body: their routes call ``require_key``."""

SCHEMES = frozenset({"bearer", "deepl-auth-key"})
KNOWN = "hearth.key_known"


class Keys:
    """Lets requests with a known key pass, all others get 401. Not installed when there are no keys."""

    def __init__(self, app: ASGIApp, hashes: Sequence[str], refuse: Callable[[str, ServerError], Response]) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            hashes: SHA-256 of each key, in hexadecimal.
            refuse: makes the answer to a (path, error): peers' paths have shapes of their own.
        """
        self._app = app
        self._refuse = refuse
        self._hashes = [value.lower().encode() for value in hashes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        scope[KNOWN] = _sent(Headers(scope=scope), self._hashes)
        if scope[KNOWN] or scope["path"] in BODY_KEYED:
            await self._app(scope, receive, send)
            return
        error = scope[KEY].error = NotAuthenticated()
        await self._refuse(scope["path"], error)(scope, receive, send)


def require_key(request: Request, settings: Settings, key: str) -> None:
    """Check the key in a body, for routes of ``BODY_KEYED``.

    Raises:
        NotAuthenticated: keys are needed, and neither the header nor the body has a known one.
    """
    hashes = [value.encode() for value in settings.api_keys]
    if hashes and not request.scope.get(KNOWN) and not knows(key, hashes):
        raise NotAuthenticated


def knows(key: str, hashes: Sequence[bytes]) -> bool:
    """Whether it is one of the keys. Every hash is compared, so that the time taken says nothing of which."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest().encode()
    matches = [hmac.compare_digest(digest, known) for known in hashes]
    return any(matches)


def _sent(headers: Headers, hashes: Sequence[bytes]) -> bool:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return knows(key.strip(), hashes) and scheme.lower() in SCHEMES
