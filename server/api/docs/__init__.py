"""``GET /docs``: the documentation as a page that needs nothing from elsewhere.

It is one file, which reads ``/openapi.json`` in the browser. FastAPI's own pages load scripts from a CDN.
"""

from pathlib import Path

from fastapi import APIRouter, Response

from server.api.reading import JsonRoute

router = APIRouter(route_class=JsonRoute, include_in_schema=False)

PAGE = Path(__file__).with_name("page.html")

# The page may run its own script and style and ask this server; nothing else.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"


@router.get("/docs")
async def show_docs() -> Response:
    """Send the page."""
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}
    return Response(PAGE.read_text("utf-8"), headers=headers, media_type="text/html")
