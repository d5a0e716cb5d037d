"""A sentence with things in it that must come through a translation: tags, placeholders, emoji, fixed terms.

They form a tree over the sentence's text, so that writing it out never loses, doubles or crosses any of them,
wherever a translation has put them. Knows nothing of models, nor of where things belong in a translation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["pair", "point", "copy", "term"]


@dataclass(frozen=True, slots=True)
class Node:
    """Something that stands in a sentence at ``start`` to ``end`` of its text.

    A *pair* (an element of HTML) goes around its content. A *point* (an emoji, an image) has no text. A *copy* (a
    placeholder, an address) has a name in its place that a model copies. A *term* is a word with a fixed translation.
    """

    kind: Kind
    start: int
    end: int
    open: str
    """What is written: of a pair before its content, of any other in place of its text."""
    close: str = ""
    """What is written after the content of a pair."""
    children: tuple["Node", ...] = ()
    """Of a pair: those within it, in order, none overlapping another."""
    binds_next: bool = False
    """Of a point: it belongs to the word that follows."""
    is_ordered: bool = False
    """Of a copy: its meaning hangs on its place among its likes, as that of ``%s`` does."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence as a model reads it, and what is to be written in it."""

    text: str
    nodes: tuple[Node, ...] = ()

    def render(self, escape: Callable[[str], str] = str) -> str:
        """The sentence in full.

        Args:
            escape: applied to its own text, not to what the nodes write.
        """
        return "".join(_write(self.text, 0, len(self.text), self.nodes, escape))


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield the nodes and all below them, in the order of their starts."""
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
