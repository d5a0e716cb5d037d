"""A sentence with *nodes* that must survive its translation: tags, placeholders, emoji and fixed terms.

The nodes form a tree over the sentence's text. So rendering never loses or repeats a node and never makes tags cross,
wherever the translation places the nodes. This module knows nothing of models, or of the right places in a translation.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from server.tasks.translation.placeholders import Found, Glossary
from server.tasks.translation.segments import HELD, Mark, Segment

Kind = Literal["pair", "point", "copy", "term"]


@dataclass(frozen=True, slots=True)
class Node:
    """A tag, placeholder, emoji or term at ``start`` to ``end`` (in characters) of a sentence's text.

    A *pair* (an element of HTML) encloses its content. A *point* (an emoji, an image) has no text. A name that the
    model copies represents a *copy* (a placeholder, an address). A *term* is a word with a fixed translation.
    """

    kind: Kind
    start: int
    end: int
    open: str
    """For a pair the text before its content; for any other node the text that replaces its own."""
    close: str = ""
    """For a pair the text after its content."""
    children: tuple["Node", ...] = ()
    """For a pair the nodes inside it, in order, without overlaps."""
    binds_next: bool = False
    """For a point, whether it belongs to the word that follows."""
    is_ordered: bool = False
    """For a copy, whether its meaning depends on its order among the other ordered copies, as with ``%s``."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence as a model reads it, and the nodes in it."""

    text: str
    nodes: tuple[Node, ...] = ()

    def render(self, escape: Callable[[str], str] = str) -> str:
        """The sentence's text with all nodes written out.

        Args:
            escape: applied to the sentence's own text, but not to the texts of nodes.
        """
        return "".join(_write(self.text, 0, len(self.text), self.nodes, escape))


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield the nodes and all nodes inside them, in the order of their starts."""
    for node in nodes:
        yield node
        yield from walk(node.children)


def _write(text: str, start: int, end: int, nodes: Sequence[Node], escape: Callable[[str], str]) -> Iterator[str]:
    for node in nodes:
        yield escape(text[start : node.start])
        yield node.open
        if node.kind == "pair":
            yield from _write(text, node.start, node.end, node.children, escape)
            yield node.close
        start = node.end
    yield escape(text[start:end])


STAND_INS = ("Tom", "Boston", "John")
"""Names that represent held-back text, because models copy names. The shipped model copies these names best
(docs/translation.md has the numbers). If a sentence has more held-back texts than names, the others are placed by the
translations of the words around them."""

NUMERALS = ("35", "48", "26")
"""Numbers that represent held-back numbers, such as ``%d`` and ``{count}``, so that the model reads "35 files" for
"%d files". They have two digits, since models write small numbers as words."""
_NUMBER = re.compile(
    r"%(?:\(\w{1,60}\)|\d{1,2}\$)?[-+0]{0,3}\d{0,3}(?:l|ll|h|z)?[diun]|#"
    r"|[$#%]?(?:\{{1,3}\s{0,9}|:)"
    r"(?:(?:[\w.]{1,40}[_.])?(?:n|num|number|count|total|quantity)|[a-z]\w{0,40}(?:Num|Number|Count|Total|Quantity))"
    r"\s{0,9}\}{0,3}"
)
"""A placeholder for a number: by its type, or by its name."""
DEEPEST = 20
"""The deepest nesting of pairs of tags. Deeper tags are placed one by one, without their partners."""


def marked(run: Segment, start: int, end: int, marks: Sequence[Mark], glossary: Glossary) -> Marked:
    """The sentence at ``start`` to ``end`` (in characters) of a segment; its marks and held-back texts become nodes."""
    plain = run.text[start:end]
    if not marks and HELD not in plain and not glossary.find(plain):
        return Marked(plain)
    reader = _Reader(run, plain)
    pairs = paired(marks)
    frames: list[tuple[Mark | None, int, list[Node]]] = [(None, 0, [])]
    at = start
    for i, mark in enumerate(marks):
        reader.read(at, mark.at, frames[-1][2])
        at = mark.at
        if i in pairs and mark.kind == "open":
            frames.append((mark, reader.length, []))
        elif i in pairs:
            opened, begin, children = frames.pop()
            frames[-1][2].append(_pair(opened, mark, min(begin, reader.length), reader.length, children))
            reader.floor = reader.length
        else:
            reader.point(mark.raw, frames[-1][2], binds_next=mark.kind != "close")
    reader.read(at, end, frames[0][2])
    text = "".join(reader.parts)
    return Marked(text, _with_terms(frames[0][2], glossary.find(text)))


def paired(marks: Sequence[Mark]) -> dict[int, int]:
    """The indices of opening and closing marks that are pairs, in both directions. Marks that cross are no pairs."""
    found: dict[int, int] = {}
    stack: list[int] = []
    open_: Counter[str] = Counter()
    for i, mark in enumerate(marks):
        if mark.kind == "open":
            stack.append(i)
            open_[mark.name] += 1
        elif mark.kind == "close" and open_[mark.name]:
            while marks[j := stack.pop()].name != mark.name:
                open_[marks[j].name] -= 1
            open_[mark.name] -= 1
            if len(stack) < DEEPEST:
                found |= {i: j, j: i}
    return found


class _Reader:
    """Collects the text of one sentence, and adds its held-back texts as nodes."""

    def __init__(self, run: Segment, plain: str) -> None:
        self._run = run
        self._names = [name for name in STAND_INS if name not in plain]
        self._numerals = [] if any(map(str.isdigit, plain)) else list(NUMERALS)
        """None are used beside other numbers, which could be mistaken for them."""
        self.parts: list[str] = []
        """The text so far. Each space at the end of a plain text is its own part."""
        self.length = 0
        self.floor = 0
        """The place, in characters, where the last node ends. The text before it must not change."""

    def read(self, start: int, end: int, nodes: list[Node]) -> None:
        """Read the segment's characters from ``start`` to ``end``."""
        text = self._run.text
        while start < end:
            held = text.find(HELD, start, end)
            until = end if held < 0 else held
            if until > start:
                self._plain(start, until, nodes)
            if held >= 0:
                self._held(held, nodes)
            start = until + 1

    def point(self, raw: str, nodes: list[Node], *, binds_next: bool = False) -> None:
        """Add a node without text."""
        nodes.append(Node("point", self.length, self.length, raw, binds_next=binds_next))
        self.floor = self.length

    def _plain(self, start: int, end: int, nodes: list[Node]) -> None:
        text = self._run.text[start:end]
        last = nodes[-1] if nodes else None
        if not self.length and last is not None and last.kind == "point" and last.end == 0:
            # A point includes the space before it, or else the space after it.
            words = text.lstrip(" ")
            spaces = len(text) - len(words)
            nodes[-1] = replace(last, open=last.open + "".join(self._run.written[start : start + spaces]))
            text = words
        words = text.rstrip(" ")
        self.parts += [words] if words else []
        self.parts += " " * (len(text) - len(words))
        self.length += len(text)

    def _held(self, at: int, nodes: list[Node]) -> None:
        raw = self._run.written[at]
        names = self._numerals if self._numerals and _NUMBER.fullmatch(raw) else self._names
        if at in self._run.points or not names:
            if self.length > self.floor and self.parts[-1] == " ":
                self.parts.pop()
                self.length -= 1
                raw = " " + raw
            self.point(raw, nodes)
            return
        name = names.pop(0)
        end = self.length + len(name)
        nodes.append(Node("copy", self.length, end, raw, is_ordered=at in self._run.ordered))
        self.parts.append(name)
        self.length = self.floor = end


def _pair(opened: Mark | None, closed: Mark, start: int, end: int, children: list[Node]) -> Node:
    """The node of an element: a pair, or a point if the element contains no text."""
    raw = "" if opened is None else opened.raw
    if start == end:
        inner = "".join(node.open for node in children)
        return Node("point", start, start, raw + inner + closed.raw, binds_next=True)
    return Node("pair", start, end, raw, closed.raw, tuple(children))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a sentence's text that the translation must keep unchanged."""

    start: int
    end: int
    kind: Literal["copy", "point", "term"]
    """*copy*: the model reads a name in place of the text. *point*: it reads nothing there. *term*: it reads the text,
    and the text then replaces its translation."""


def hold_back(sentence: Marked, stretches: Sequence[Stretch]) -> Marked:
    """The sentence with these stretches held back, in addition to its nodes.

    A stretch that crosses a node or overlaps a copy or a term is ignored. A copy becomes a point if all names are used.
    """
    borders = sorted({place for node in walk(sentence.nodes) for place in (node.start, node.end)})
    closed = sorted((node.start, node.end) for node in walk(sentence.nodes) if node.kind in ("copy", "term"))
    names = [name for name in STAND_INS if name not in sentence.text]
    parts: list[str] = []
    moves: list[tuple[int, int]] = []
    """Places of the old text, and the distance that the text from there on has moved, in characters."""
    held: list[tuple[Stretch, Node]] = []
    at = length = 0
    for each in stretches:
        start, end = each.start, each.end
        crosses = any(start < border < end for border in borders[bisect_right(borders, start) :][:1])
        before = bisect_left(closed, (end, 0))  # of the nodes that begin before `end`, the last one ends last
        if start < at or crosses or (before and closed[before - 1][1] > start):
            continue
        kind = "point" if each.kind == "copy" and not names else each.kind
        if kind == "point":  # a point includes one space beside it, so that no double space remains
            if start > at and sentence.text[start - 1] == " " and start not in borders:
                start -= 1
            elif not start and sentence.text[end : end + 1] == " " and end not in borders:
                end += 1
        text = {"copy": names[0] if names else "", "point": "", "term": sentence.text[start:end]}[kind]
        names = names[1:] if kind == "copy" else names
        parts += (sentence.text[at:start], text)
        length += start - at
        held.append((each, Node(kind, length, length + len(text), sentence.text[start:end])))
        length += len(text)
        moves.append((end, length - end))
        at = end
    if not held:
        return sentence
    parts.append(sentence.text[at:])
    places = [place for place, _ in moves]

    def moved(place: int) -> int:
        i = bisect_right(places, place)
        return place + (moves[i - 1][1] if i else 0)

    def rebuilt(nodes: Sequence[Node], inner: Sequence[tuple[Stretch, Node]]) -> tuple[Node, ...]:
        made: list[tuple[int, int, Node]] = []
        starts = [stretch.start for stretch, _ in inner]
        given = 0
        for node in nodes:
            first = after = given
            if node.kind == "pair":
                first, after = bisect_left(starts, node.start, given), bisect_left(starts, node.end, given)
            made += [(stretch.start, stretch.end, each) for stretch, each in inner[given:first]]
            given = after
            children = rebuilt(node.children, inner[first:after])
            start, end = moved(node.start), moved(node.end)
            if node.kind == "pair" and start == end:
                within = "".join(child.open for child in children)
                again = Node("point", start, start, node.open + within + node.close, binds_next=True)
            else:
                again = replace(node, start=start, end=end, children=children)
            made.append((node.start, node.end, again))
        made += [(stretch.start, stretch.end, node) for stretch, node in inner[given:]]
        return tuple(node for _, _, node in sorted(made, key=lambda each: each[:2]))

    return Marked("".join(parts), rebuilt(sentence.nodes, held))


def _with_terms(nodes: Sequence[Node], terms: Sequence[Found]) -> tuple[Node, ...]:
    """The nodes with the terms added in order. A term that the edge of a node divides is ignored."""
    if not terms:
        return tuple(nodes)
    inner: dict[int, list[Found]] = {}
    made: list[tuple[int, Node]] = []
    """Each term, and the index of the node after it."""
    at = 0
    for term in terms:
        while at < len(nodes) and nodes[at].end <= term.start:
            at += 1
        if at < len(nodes) and nodes[at].start < term.end:
            node = nodes[at]
            if node.kind == "pair" and node.start <= term.start and term.end <= node.end:
                inner.setdefault(at, []).append(term)
        else:
            made.append((at, Node("term", term.start, term.end, term.target)))
    whole = [
        replace(node, children=_with_terms(node.children, inner[i])) if i in inner else node
        for i, node in enumerate(nodes)
    ]
    parts: list[Node] = []
    at = 0
    for before, node in made:
        parts += [*whole[at:before], node]
        at = before
    return (*parts, *whole[at:])
