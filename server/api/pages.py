"""Pages for people: ``GET /``, the playground, and ``GET /docs``, the API's documentation.

Their files are in ``static/``, a folder a page: plain HTML, CSS and ES modules, without a build step. ``static/pages``
has the files that both share. They are sent under a policy by which a page reaches nothing but this server. A page is a
client like any other: in the browser it asks the API for all it knows. FastAPI's own documentation would load scripts
from a CDN.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fastapi import APIRouter, Request, Response

from server.api.deps import SettingsDep
from server.api.request import JsonRoute
from server.errors import RouteNotFound

# Scripts and styles are files of this server, none is inline; no form is sent by the browser; and no string becomes
# markup: with trusted types a script that tries fails, whatever a model has written.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",  # kept, but asked for each time: a page is never older than the server behind it
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class File:
    """One file of a page."""

    body: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        """Names the content."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    def answer(self, request: Request) -> Response:
        """The file, or 304 to a client that has it already."""
        headers = HEADERS | {"etag": self.etag}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers | {"content-type": self.media_type})


class Folder:
    """The files of a folder, read at the first request for one of them and kept."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def files(self) -> Mapping[str, File]:
        """Each by its name: what is not among them cannot be asked for, whatever its name contains."""
        paths = sorted(path for path in self._root.iterdir() if path.suffix in TYPES)
        return {path.name: File(path.read_bytes(), TYPES[path.suffix]) for path in paths}

    def answer(self, request: Request, name: str) -> Response:
        """The file of this name.

        Raises:
            RouteNotFound: there is none.
        """
        if (file := self.files.get(name)) is None:
            raise RouteNotFound(request.url.path[:200])
        return file.answer(request)


router = APIRouter(route_class=JsonRoute, include_in_schema=False)
playground = APIRouter(route_class=JsonRoute, include_in_schema=False)
"""Apart, since an operator may turn the playground off."""

STATIC = Path(__file__).with_name("static")
SHARED, PLAYGROUND, DOCS = Folder(STATIC / "pages"), Folder(STATIC / "playground"), Folder(STATIC / "docs")
TO_PLAYGROUND = b'<a href="/">Playground</a>'


@router.get("/static/pages/{name}")
async def send_shared(request: Request, name: str) -> Response:
    """Send a file that all pages share."""
    return SHARED.answer(request, name)


@router.get("/docs")
async def show_docs(request: Request, settings: SettingsDep) -> Response:
    """Send the page of the API's documentation; it links to the playground where there is one."""
    page = DOCS.files["index.html"]
    if not settings.playground:
        page = File(page.body.replace(TO_PLAYGROUND, b""), page.media_type)
    return page.answer(request)


@router.get("/static/docs/{name}")
async def send_docs_file(request: Request, name: str) -> Response:
    """Send a file of the documentation's page."""
    return DOCS.answer(request, name)


@playground.get("/")
async def show_playground(request: Request) -> Response:
    """Send the page of the playground."""
    return PLAYGROUND.answer(request, "index.html")


@playground.get("/static/playground/{name}")
async def send_playground_file(request: Request, name: str) -> Response:
    """Send a file of the playground's page."""
    return PLAYGROUND.answer(request, name)
