"""The cost of every step on a text grows in proportion to the text's length, whatever its contents."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from server.api import request
from server.tasks.generation.stop_strings import StopStrings
from server.tasks.summaries.extractive import choose
from server.tasks.summaries.form import Length, Span
from server.tasks.summaries.support import Source, checks_in
from server.tasks.text.note import read_note
from server.tasks.text.sentences import chunk, is_translatable, segment, split, split_long
from server.tasks.translation.document import build, escape_markup, read_segments
from server.tasks.translation.exact import difference, items_of, together
from server.tasks.translation.marks import Marked, Node, Stretch, hold_back
from server.tasks.translation.markup import Rules, runs_of
from server.tasks.translation.messages import message_runs
from server.tasks.translation.placeholders import Glossary, Term, find_protected
from server.tasks.translation.placing import place, token_offsets
from server.tasks.translation.quality import find_loop, judge
from server.tasks.translation.spelling import stretches
from tests.hostile import UNITS, digits, growth, shape

CHARACTERS = 2_000
TERMS = [Term("a b", "X"), Term("a", "a"), Term(" ".join("a" * 90) + " z", "Y"), Term("hello", "Z")]
MARKUP = (
    "<b>",
    "</b>",
    "<b>a </b>",
    "<b><i>",
    "<b></i>",
    "a<b>",
    "<b>a. </b>",
    "a<br>",
    "<code>",
    "&#1;",
    "&copy;",
    "<p>a",
    "a &copy;",
)


def count(text: str) -> int:
    return len(text.split())


def translated(text: str, rules: Rules | None = None) -> None:
    document = build(
        read_segments(text, rules), "en", escape=str if rules is None else escape_markup, glossary=Glossary(TERMS),
        count_tokens=count, limit_tokens=50,
    )  # fmt: skip
    document.join([place(sentence, sentence.text) for sentence in document.sentences])


def compared(text: str) -> None:
    difference(text, "en", text[1:], "de")
    items = items_of(text, "en")
    together(text, items, items[::2], range(0, len(text), 3))


def held_back(text: str) -> None:
    """A sentence whose every other word is held back, in elements."""
    ends = range(4, len(text), 4)
    nodes = [Node("pair", end - 4, end, "<b>", "</b>") for end in ends]
    hold_back(Marked(text, tuple(nodes)), [Stretch(end - 3, end - 1, ("point", "term")[end // 4 % 2]) for end in ends])


def streamed(text: str) -> None:
    stops = StopStrings(["aaaaaaaab", "\n\n\n\n.", " a a a a b"])
    for character in text:
        stops.push(character)


def marked(text: str) -> None:
    """A sentence that is all tags, one at each character."""
    nodes = [Node("point", i // 2, i // 2, "<br>", binds_next=bool(i % 3)) for i in range(len(text))]
    place(Marked(text[:400], tuple(each for each in nodes if each.start <= 400)), text[:400])


def summed_up(text: str) -> None:
    note = read_note(text, "en", count_tokens=count, limit_tokens=50)
    if note.sentences:
        choose(note.sentences, np.ones((len(note.sentences), 2), np.float32), Length(3))
        Source(note.sentences).faults(text, [Span(note.sentences[0].start, 0, 1.0)], checks_in("en"))


WORKS: dict[str, Callable[[str], object]] = {
    "protect": find_protected,
    "message": lambda text: message_runs("{n, plural, one {" + text + "} other {b}}", "de"),
    "translatable": is_translatable,
    "note": summed_up,
    "segment": lambda text: segment(text, "en"),
    "split": lambda text: split(text, "de", count, 50),
    "split long": lambda text: split_long(text, count, 50),
    "chunk": lambda text: chunk(text, "en", count, 50),
    "plain": translated,
    "html": lambda text: translated(text, Rules()),
    "xml": lambda text: translated(text, Rules(is_xml=True, lines=True)),
    "blocks": lambda text: runs_of(text, Rules(is_xml=True, ignored=["b"], splitting=["i"])),
    "glossary": lambda text: Glossary(TERMS).find(text),
    "terms": lambda text: Glossary([Term(word, word[:1]) for word in text.split(" ")]),
    "judge": lambda text: judge(text, text.lower() + " a b c d", "de", ("en", "de"), looped=False),
    "loops": lambda text: find_loop(text.split()),
    "offsets": lambda text: token_offsets(text, text.split(" ")),
    "stops": streamed,
    "place": lambda text: place(Marked(text, (Node("pair", 1, len(text) // 2, "<b>", "</b>"),)), text),
    "marks": marked,
    "exact": compared,
    "hold back": held_back,
    "stretches": lambda text: list(stretches(text, set(text[::3]))),
    "body": lambda text: request.parse(json.dumps([text, *text]).encode()),
}


@pytest.mark.parametrize("name", WORKS)
def test_twice_the_text_takes_less_than_three_times_the_time(name: str) -> None:
    makes = {repr(unit): lambda n, u=unit: shape(u, n) for unit in (*UNITS, *MARKUP)} | {"digits": digits}
    found = {unit: growth(WORKS[name], make, CHARACTERS) for unit, make in makes.items()}
    assert {unit: times for unit, times in found.items() if times >= 3} == {}
