"""``GET /docs``: the documentation as a page that needs nothing from elsewhere.

It reads ``/openapi.json`` in the browser. FastAPI's own pages load scripts from a CDN.
"""

from pathlib import Path

from fastapi import APIRouter, Request, Response

from server.api.deps import SettingsDep
from server.api.pages import File, Folder
from server.api.request import JsonRoute

router = APIRouter(route_class=JsonRoute, include_in_schema=False)

FILES = Folder(Path(__file__).with_name("static"))
TO_PLAYGROUND = b'<a href="/">Playground</a>'


@router.get("/docs")
async def show_docs(request: Request, settings: SettingsDep) -> Response:
    """Send the page; it links to the playground where there is one."""
    page = FILES.files["index.html"]
    if not settings.playground:
        page = File(page.body.replace(TO_PLAYGROUND, b""), page.media_type)
    return page.answer(request)


@router.get("/static/docs/{name}")
async def send_file(request: Request, name: str) -> Response:
    """Send a file of the page."""
    return FILES.answer(request, name)
