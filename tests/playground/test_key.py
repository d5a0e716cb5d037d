"""A server that requires keys."""

import hashlib
import subprocess

from playwright.sync_api import Browser, expect

from tests.playground.conftest import Visit
from tests.server_process import LIMIT_S, serving

KEY = "a-key-for-the-playground"


def test_the_page_asks_for_the_key_and_keeps_it_until_the_tab_is_closed(browser: Browser) -> None:
    flags = ("--models", "sentiment", "--api-keys", hashlib.sha256(KEY.encode()).hexdigest())
    with serving(*flags) as served:
        context = browser.new_context()
        context.set_default_timeout(LIMIT_S * 1000)
        visit = Visit(context.new_page(), served.url)
        page = visit.page
        page.goto(f"{served.url}/#classify")
        page.get_by_label("This server wants an API key.").fill(KEY)
        assert {status for status, _ in visit.refused} == {401}
        page.keyboard.press("Enter")
        expect(page.get_by_label("This server wants an API key.")).to_be_hidden()
        expect(page.locator("#models-list .model")).to_have_count(1)
        visit.refused.clear()
        page.get_by_label("Text to classify").fill("Lovely.")
        expect(page.locator("#classify-result .bar")).to_have_count(3)
        page.reload()
        expect(page.locator("#models-list .model")).to_have_count(1)
        panel = page.get_by_role("tabpanel")
        panel.get_by_label("Text to classify").fill("Lovely.")
        panel.get_by_role("button", name="Show as curl").click()
        command = panel.get_by_label("The request as curl").inner_text()
        assert KEY not in command
        environment = {"HEARTH_API_KEY": KEY, "PATH": "/usr/bin:/bin"}
        subprocess.run(["sh", "-c", command + " -f"], env=environment, capture_output=True, check=True)
        assert page.evaluate("JSON.stringify(localStorage)") == "{}"
        visit.check()
        context.close()
        other = browser.new_context()
        page = other.new_page()
        page.goto(served.url)
        expect(page.get_by_label("This server wants an API key.")).to_be_visible(timeout=LIMIT_S * 1000)
        other.close()
