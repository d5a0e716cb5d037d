"""Themes, narrow screens, and everything by keyboard alone."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.playground.conftest import TABS, Visit
from tests.server_process import LIMIT_S, Served


def background(page: Page) -> list[float]:
    """Its red, green and blue."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [float(number) for number in re.findall(r"[\d.]+", colour)[:3]]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_theme_is_the_systems_until_one_is_chosen(browser: Browser, served: Served, path: str) -> None:
    context = browser.new_context(color_scheme="dark")
    context.set_default_timeout(LIMIT_S * 1000)
    page = context.new_page()
    page.goto(served.url + path)
    assert max(background(page)) < 64
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert min(background(page)) > 192
    toggle = page.get_by_role("button", name="Dark theme")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    assert max(background(page)) < 64
    page.reload()
    assert max(background(page)) < 64
    toggle.click()
    assert page.evaluate("localStorage.length") == 0  # as the system has it: nothing to remember
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_can_be_read(visit: Visit, theme: str) -> None:
    """WCAG's contrast of 4.5 for every text colour on every ground it stands on."""
    visit.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page = visit.open("chat")
    pairs = [("ink", ground) for ground in ("bg", "surface", "sunk", "tint")]
    pairs += [("soft", "bg"), ("soft", "surface"), ("accent", "bg"), ("accent", "surface"), ("accent", "tint")]
    pairs += [("on-accent", "accent"), ("bad", "bg"), ("bad", "surface"), ("soft", "tint")]
    for text, ground in pairs:
        ratio = page.evaluate(
            """([text, ground]) => {
                const light = (name) => {
                    const probe = document.createElement("i");
                    probe.style.color = `var(--${name})`;
                    document.body.append(probe);
                    const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((n) => n / 255);
                    probe.remove();
                    const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
                };
                const [a, b] = [light(text), light(ground)];
                return Math.max(a, b) / Math.min(a, b);
            }""",
            [text, ground],
        )
        assert ratio >= 4.5, (text, ground, ratio)


def test_a_phone_shows_all_panels_without_scrolling_sideways(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    page = visit.open("chat")
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        expect(page.locator(f"#{tab}")).to_be_visible()
        if tab == "chat":
            page.get_by_text("Settings", exact=True).click()
        page.get_by_role("tabpanel").get_by_role("button", name="Show as curl").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
        boxes = [one.bounding_box() for one in page.get_by_role("tab").all()]
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes), boxes
    page.goto(f"{visit.url}/docs#post/v1/translations")
    expect(page.get_by_role("button", name="Send").filter(visible=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def focused(page: Page) -> str:
    """The id of what has the focus, which must be seen to have it."""
    name, ring = page.evaluate("""() => {
        const at = document.activeElement;
        const around = [at, at.closest(".composer"), at.closest(".card")].filter(Boolean);
        const seen = around.map((node) => getComputedStyle(node));
        return [at.id, seen.some((style) => style.outlineStyle !== "none" || style.boxShadow !== "none")];
    }""")
    assert ring, f"the focus on '{name}' cannot be seen"
    return str(name)


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until it has the focus."""
    for _ in range(40):
        if focused(page) == wanted:
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{wanted} cannot be reached by keyboard")


def test_everything_can_be_done_by_keyboard(visit: Visit) -> None:
    page = visit.open("chat")
    page.keyboard.press("Tab")
    tab_to(page, "chat-input")
    page.keyboard.type("Hello")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".facts")).to_contain_text("token")
    assert focused(page) == "chat-input"
    tab_to(page, "chat-send")
    tab_to(page, "chat-temperature")
    page.reload()
    page.keyboard.press("Tab")
    tab_to(page, "tab-chat")
    work = {
        "translate": ("translate-input", "Good morning.", "#translate-about"),
        "summarize": ("summarize-input", "It rains. The sun shines.", "#summarize-about"),
        "classify": ("classify-input", "I love it.", "#classify-about"),
        "rerank": ("rerank-query", " Quickly!", "#rerank-about"),
    }
    for tab in TABS[1:]:
        page.keyboard.press("ArrowRight")
        assert focused(page) == f"tab-{tab}"
        expect(page.locator(f"#{tab}")).to_be_visible()
        if tab in work:
            field, text, done = work[tab]
            tab_to(page, field)
            page.keyboard.type(text)
            expect(page.locator(done)).to_contain_text("ms")
            while focused(page) != f"tab-{tab}":
                page.keyboard.press("Shift+Tab")
    page.keyboard.press("Home")
    assert focused(page) == "tab-chat"
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "tab-live"
    assert page.url.endswith("#live")


def test_every_control_and_region_has_a_name(visit: Visit) -> None:
    page = visit.open("chat")
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        tree = page.locator("body").aria_snapshot()
        nameless = re.findall(
            r"^\s*- (?:button|textbox|combobox|slider|spinbutton|link|tab|img|region|log)(?::.*|)$", tree, re.M
        )
        assert nameless == [], tree
