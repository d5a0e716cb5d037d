"""``GET /``: the playground, where a person tries the models and sees how the server does.

It is a client like any other: all it knows it asks the API for, in the browser.
"""

from pathlib import Path

from fastapi import APIRouter, Request, Response

from server.api.pages import Folder
from server.api.request import JsonRoute

router = APIRouter(route_class=JsonRoute, include_in_schema=False)

FILES = Folder(Path(__file__).with_name("static"))


@router.get("/")
async def show_playground(request: Request) -> Response:
    """Send the page."""
    return FILES.answer(request, "index.html")


@router.get("/static/playground/{name}")
async def send_file(request: Request, name: str) -> Response:
    """Send a file of the page."""
    return FILES.answer(request, name)
