"""Markdown in requests: its signs come through, also where a translation comes in parts."""

import random

import pytest

from server.tasks.markdown import MarkdownText, MarkdownWriter
from tests.hostile import growth, shape
from tests.tasks.test_documents import FILES

TEXTS = [
    FILES["read.md"],
    "",
    "\n",
    "***\n",
    "```\ncode\n```",
    'a <hr id="gap"> b\n\nc',
    "| House | 5 |\n|---|---|\n| Cat | 6 |",
    "~~old~~ new\nlines\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_not_translated_comes_back_byte_for_byte(text: str) -> None:
    page = MarkdownText(text)
    assert page.write(page.html) == text


def test_parts_make_the_whole_wherever_they_are_cut() -> None:
    page = MarkdownText(FILES["read.md"])
    made = page.html.replace("Hello world", "Hallo Welt").replace("big", "groß").replace("Price", "Preis")
    whole = page.write(made)
    assert "# Hallo Welt\n" in whole
    assert "*very* **groß** paragraph with `code`" in whole
    assert "| House | Preis |" in whole
    rng = random.Random(0)
    for _ in range(50):
        writer, said, at = MarkdownWriter(page), "", 0
        while at < len(made):
            size = rng.randrange(1, 40)
            said += writer.push(made[at : at + size])
            at += size
        assert said + writer.finish() == whole


def test_a_page_costs_in_proportion_to_its_length() -> None:
    def through(text: str) -> None:
        page = MarkdownText(text)
        writer = MarkdownWriter(page)
        for at in range(0, len(page.html), 40):
            writer.push(page.html[at : at + 40])
        writer.finish()

    units = ("- a\n", "a ", "| a ", '<hr id="', "[a](", "**_", "> a\n\n")
    grown = {unit: growth(through, lambda n, unit=unit: shape(unit, n), 6_000) for unit in units}  # type: ignore[misc]
    assert {unit: times for unit, times in grown.items() if times >= 3} == {}
