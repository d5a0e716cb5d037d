"""The pages as files: their headers, their references, and forbidden contents."""

import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server import api
from server.api.pages import POLICY, STATIC, TYPES
from server.metrics import Metrics
from server.serving.registry import ModelRegistry
from server.settings import Settings

pytestmark = pytest.mark.anyio

API = Path(api.__file__).parent
FILES = {
    f"/static/{page}/{path.name}": path
    for page in ("pages", "playground", "docs")
    for path in sorted((STATIC / page).iterdir())
}
TEXTS = {url: path.read_text("utf-8") for url, path in FILES.items()}
LIMIT_LINES = 300


@asynccontextmanager
async def client(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without models."""
    app = FastAPI(docs_url=None, redoc_url=None)
    api.install(app, ModelRegistry(), Settings(**settings), Metrics("test"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
        yield http


@pytest.mark.parametrize("path", ["/", "/docs", *FILES])
async def test_every_file_is_sent_under_the_policy_and_kept_by_its_etag(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"] == TYPES[".html" if path not in FILES else FILES[path].suffix]
        again = await http.get(path, headers={"if-none-match": f'"another", W/{answer.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]
        assert (await http.get(path, headers={"if-none-match": '"another"'})).content == answer.content


def test_the_policy_allows_nothing_but_files_of_this_server() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert {rules[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert {rules[kind] for kind in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    "path",
    ["/nix", "/index.html", "/static", "/static/", "/static/playground/", "/static/playground/nix.js",
     "/static/playground/__init__.py", "/static/playground/..%2f__init__.py", "/static/playground/%2e%2e/__init__.py",
     "/static/pages/../__init__.py", "/static//etc/passwd", "/static/playground/main.js/"],
)  # fmt: skip
async def test_what_is_no_file_is_the_apis_404(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_url"


async def test_only_get_is_known_at_the_root() -> None:
    async with client() as http:
        answer = await http.post("/")
        assert answer.status_code == 405
        assert answer.json()["error"]["message"]


async def test_the_page_needs_no_key_and_the_models_do() -> None:
    async with client(api_keys=("ab" * 32,)) as http:
        for path in ("/", "/docs", *FILES):
            assert (await http.get(path)).status_code == 200
        assert (await http.get("/v1/models")).status_code == 401
        assert (await http.get("/static/../v1/models")).status_code == 401


async def test_the_playground_can_be_turned_off() -> None:
    async with client(playground=False) as http:
        for path in ("/", "/static/playground/main.js"):
            answer = await http.get(path)
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "unknown_url"
        docs = (await http.get("/docs")).text
        assert 'href="/"' not in docs
    async with client() as http:
        assert 'href="/"' in (await http.get("/docs")).text
        assert 'href="/docs"' in (await http.get("/")).text


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    for url, text in TEXTS.items():
        assert "//" not in re.sub(r"//\s|http://www\.w3\.org/", "", text), url
        if url.endswith(".html"):
            assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=", text), url


def test_text_never_becomes_markup() -> None:
    for url, text in TEXTS.items():
        if url.endswith(".js"):
            assert not re.search(r"(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
                url
            )


def test_what_files_refer_to_is_there() -> None:
    for url, text in TEXTS.items():
        page = url.split("/")[2]
        for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
            assert name in FILES, url
        for folder, name in re.findall(r'from "\.(?:/|\./(\w+)/)([\w.]+)"', text):
            assert f"/static/{folder or page}/{name}" in FILES, (url, name)


def test_the_wheel_has_every_file(tmp_path: Path) -> None:
    # The compiled engine stays out of it, so that this takes a second.
    build = "from scikit_build_core.build import build_wheel as b; import sys; b(sys.argv[1], {'wheel.cmake': 'false'})"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=API.parents[1], capture_output=True, check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {path.relative_to(API.parents[1]).as_posix() for path in FILES.values()} <= names


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    assert {url for url, text in TEXTS.items() if text.count("\n") > LIMIT_LINES} == set()
