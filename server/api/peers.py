"""Whose errors a path answers with: the one table of other servers' shapes.

Whatever refuses a request asks here: routes, the framework (404, 405), keys, hosts, limits. Knows no routes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.errors import ServerError


@dataclass(frozen=True, slots=True)
class Peer:
    """A server whose clients find its own errors here."""

    paths: re.Pattern[str]
    """Its paths, those that are not served included: a client reads a 404 in its own shape too."""
    write: Callable[[ServerError], dict[str, Any]]
    """The body of an error."""
    properties: Mapping[str, Mapping[str, Any]]
    """JSON Schemas of what is in such a body."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """Our status to the peer's, where they differ."""
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


TEXT: Mapping[str, str] = {"type": "string"}

OPENAI = Peer(re.compile(".*"), _openai, {"error": {"$ref": "#/components/schemas/Problem"}})

PEERS: Sequence[Peer] = (
    Peer(
        re.compile(r"/(translate|translate_file|detect|languages|suggest|frontend/settings|download_file/.*)"),
        lambda error: {"error": error.message},
        {"error": TEXT},
        {401: 403, 413: 400},
        frozenset({"/translate", "/detect"}),
    ),
    Peer(
        re.compile(r"/v[23]/.*"),
        lambda error: {"message": error.message},
        {"message": TEXT},
        {401: 403},
        frozenset({"/v2/translate"}),
    ),
    Peer(
        re.compile(r"/(predict|rerank|embed|embed_all|embed_sparse|similarity|info|decode)"),
        _inference,
        {"error": TEXT, "error_type": TEXT},
        {400: 422},
    ),
)
"""LibreTranslate, DeepL, text-embeddings-inference; vLLM's errors are OpenAI's."""


def peer_of(path: str) -> Peer:
    """The server whose path this is; OpenAI where it is no other's."""
    return next((peer for peer in PEERS if peer.paths.fullmatch(path)), OPENAI)
