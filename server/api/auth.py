"""Checks the keys of requests, and the host names that a server without keys answers to.

A request's key is looked up, admitted and charged for its use here and nowhere else.

Every web page that somebody on the network opens can reach a server that asks for no key, once the page's own name
has been made to point at the server (DNS rebinding): to the browser the page and the server are then one site. The
name in the Host header gives it away. The address on which the server listens says nothing here: a container listens
on all of its addresses, and its port may be published on the host's loopback only.
"""

import ipaddress
import math
import socket
from collections.abc import Collection

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api import errors
from server.api.errors import peer_of
from server.api.keys import Keyring, KeyUser
from server.api.record import KEY, Record
from server.errors import HostNotAllowed, NotAuthenticated, ServerError

OPEN = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json", "/languages", "/frontend/settings"})
"""Paths that need no key: they tell nothing of users, and probes, browsers and LibreTranslate's clients send none."""

OPEN_FOLDER = "/static/"
"""The folder of the pages' files, which a browser fetches without a key."""

UNCOUNTED = frozenset({"/mcp"})
"""Paths whose requests are not counted: each call of a tool becomes a request to another route, which is."""

SCHEMES = frozenset({"bearer", "deepl-auth-key"})


class Keys:
    """Lets requests with a known key pass, within its rates; others get 401 or 429. Not installed without keys."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, tell its client what is left of its rates, and charge what it has used."""
        if scope["type"] != "http" or scope["path"] in OPEN or scope["path"].startswith(OPEN_FOLDER):
            await self._app(scope, receive, send)
            return
        record: Record = scope[KEY]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and record.key_user is not None:
                message["headers"] = [*message.get("headers", ()), *_headers(record.key_user)]
            await send(message)

        try:
            key_user = self._keyring.find(_sent(Headers(scope=scope)))
            if key_user is not None:
                _enter(record, key_user, counts=scope["path"] not in UNCOUNTED)
            elif scope["path"] not in peer_of(scope["path"]).body_keyed:
                raise NotAuthenticated
        except ServerError as error:
            record.fail(error)
            await errors.response_of(error, scope["path"])(scope, receive, answer)
            return
        try:
            await self._app(scope, receive, answer)
        finally:
            if record.key_user is not None and record.usage is not None:
                record.key_user.charge(record.usage.prompt_tokens + record.usage.completion_tokens)


def require_key(request: Request, keyring: Keyring | None, key: str) -> None:
    """Check the key in a body, for the routes of ``Peer.body_keyed``.

    Raises:
        NotAuthenticated: keys are needed, and neither the header nor the body has a known one.
        RateLimited: the key has used up its rate.
    """
    record: Record = request.scope[KEY]
    if keyring is None or record.key_user is not None:
        return
    key_user = keyring.find(key)
    if key_user is None:
        raise NotAuthenticated
    _enter(record, key_user)


def _enter(record: Record, key_user: KeyUser, *, counts: bool = True) -> None:
    record.key_user = key_user
    if counts and record.method == "POST":  # requests that only read are not counted
        key_user.admit()


def _sent(headers: Headers) -> str:
    """The key of a request; Anthropic's clients have a header of their own for it."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() in SCHEMES else headers.get("x-api-key", "").strip()


def _headers(key_user: KeyUser) -> list[tuple[bytes, bytes]]:
    """Headers under OpenAI's names that say how much of the key's rates is left."""
    headers = []
    for unit, bucket in key_user.buckets.items():
        facts = {"limit": str(bucket.per_minute), "remaining": str(bucket.remaining), "reset": _time(bucket.full_s)}
        headers += [(f"x-ratelimit-{fact}-{unit}".encode(), value.encode()) for fact, value in facts.items()]
    return headers


def _time(seconds: float) -> str:
    """A duration as OpenAI writes it: ``20ms``, ``7s``, ``6m0s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


PRIVATE = (".localhost", ".local", ".internal")
"""Ends of names that nobody can register."""
ANY = "*"
"""Among the allowed names, it means that the operator allows every name."""


class Hosts:
    """Refuses host names that a web page could have; for an application that asks for no key."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = {name.lower().removesuffix(".") for name in (*allowed, socket.gethostname())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the Host of one request."""
        if scope["type"] == "http" and not self._is_ours(Headers(scope=scope).get("host", "")):
            error = HostNotAllowed()
            scope[KEY].fail(error)
            await errors.response_of(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        name = name.removesuffix(".")
        if "." not in name and ":" not in name:  # no page on the web has such a name
            return True
        return ANY in self._allowed or name in self._allowed or name.endswith(PRIVATE) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
