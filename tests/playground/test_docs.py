"""/docs in a browser."""

import httpx
from playwright.sync_api import expect

from tests.playground.conftest import Visit


def test_every_route_is_there_and_can_be_tried(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.url}/docs")
    paths = httpx.get(f"{visit.url}/openapi.json").json()["paths"]
    names = [path for path, methods in paths.items() for _ in methods]
    shown = page.locator("section .route:has(b) > summary code")
    expect(shown).to_have_count(len(names))
    assert sorted(shown.all_inner_texts()) == sorted(names)
    route = page.locator('[id="post/v1/sentiment"]')
    route.locator("summary").click()
    expect(route.get_by_role("cell", name="A text or a list of texts. Required.")).to_be_visible()
    route.get_by_role("button", name="Send").click()
    expect(route.get_by_label("Answer")).to_contain_text('"label": "positive"')
    expect(route.get_by_role("status")).to_contain_text("200")


def test_a_filter_leaves_what_has_the_words(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.url}/docs")
    page.get_by_label("Filter").fill("glossary")
    expect(page.locator(".route:visible > summary code").first).to_have_text("/v1/translations")
    expect(page.locator('[id="post/v1/sentiment"]')).to_be_hidden()


def test_the_pages_link_to_each_other(visit: Visit) -> None:
    page = visit.open("chat")
    page.get_by_role("link", name="API").click()
    expect(page).to_have_title("Hearth: API")
    page.get_by_role("link", name="Playground").click()
    expect(page).to_have_title("Hearth")
    expect(page.locator("#models-list .model")).to_have_count(6)
