"""Under which names a server without keys answers.

A server that asks for no key is reached by every web page that somebody on its network opens, once the page's own name
has been made to point at the server (DNS rebinding): to the browser they are then one site. The name gives it away. On
which address the server listens says nothing here: a container listens on all of its addresses, and its port may be
published on the host's loopback only.
"""

import ipaddress
import socket
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api import errors
from server.api.record import KEY
from server.errors import HostNotAllowed

PRIVATE = (".localhost", ".local", ".internal")
"""Ends of names that nobody can register."""
ANY = "*"
"""Among the allowed names: the operator's word that every name is."""


class Hosts:
    """Refuses names that could be a web page's own; for an application that asks for no key."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = {name.lower().removesuffix(".") for name in (*allowed, socket.gethostname())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one request's Host."""
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
