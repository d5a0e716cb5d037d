"""A real Chromium, driven by Playwright, in front of a real server with the shipped models."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

from tests.server_process import LIMIT_S, Served, serving

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TABS = ("chat", "translate", "summarize", "classify", "rerank", "batches", "models", "live")

expect.set_options(timeout=LIMIT_S * 1000)


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Every shipped model."""
    with serving() as server:
        yield server


# One a module: while it is open the main thread has a running event loop, under which no asynchronous test can run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Without one a person's run skips what needs it; the continuous integration fails."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing = "there is no Chromium (Debian's package `chromium`)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """A page, and what went wrong on it: what the console says, and what it asked for in vain."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Status and path of each answer that is no success; a test that means one takes it out."""
    elsewhere: list[str] = field(default_factory=list)
    """Requests to other origins."""

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._see_request)
        self.page.on("response", self._see_response)

    def _hear(self, message: ConsoleMessage) -> None:
        # Chromium reports violations of the policy as errors too. That an answer is no success is seen below.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _see_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.elsewhere.append(request.url)

    def _see_response(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append((response.status, response.url.removeprefix(self.url)))

    def open(self, tab: str) -> Page:
        """Go to the playground, on this tab, and wait until it knows the models."""
        self.page.goto(f"{self.url}/#{tab}")
        expect(self.page.locator("#models-list .model")).to_have_count(6)
        return self.page

    def check(self) -> None:
        """Nothing went wrong."""
        assert self.errors == []
        assert self.refused == []
        assert self.elsewhere == []


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    """A fresh tab of 1280 × 800, checked at the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(LIMIT_S * 1000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    made = Visit(context.new_page(), served.url)
    yield made
    context.close()
    made.check()
