"""Places the nodes of a sentence (tags, placeholders) in its translation, by the alignment of tokens.

`token_offsets` finds the range of each token in its text, even if the tokenizer has normalised the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from server.tasks.translation.marks import Marked, Node, walk

Range = tuple[int, int]

_WORD = re.compile(r"\S+")


def token_offsets(text: str, pieces: Sequence[str]) -> list[Range]:
    """The range of each token in a text.

    Args:
        text: the text.
        pieces: the tokens' texts; the first token of a word begins with a space.

    Returns:
        Start and end of each token in characters, in order. Normalisation may shift them within a word.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    groups: list[list[str]] = []
    for piece in pieces:
        if piece.startswith(" ") or not groups:
            groups.append([])
        groups[-1].append(piece.lstrip(" "))
    if len(groups) != len(words):  # normalisation added or removed a space: spread the tokens evenly
        ends = list(accumulate(len(piece) for piece in pieces))
        scale = len(text) / max(ends[-1] if ends else 1, 1)
        return [(int(a * scale), int(b * scale)) for a, b in zip([0, *ends], ends, strict=False)]
    found = []
    for (start, end), group in zip(words, groups, strict=True):
        at = start
        for piece in group:
            after = min(at + len(piece), end)
            found.append((at, after))
            at = after
    return found


LONGEST_ENDING = 2
_LETTER = re.compile(r"\w")
_LETTERS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Link:
    """A range of the translation and the aligned range of the source, both in characters."""

    target: Range
    source: Range


def place(source: Marked, target: str, links: Sequence[Link] = ()) -> Marked:
    """The translation with every node of the source in it.

    Args:
        source: the sentence with its nodes.
        target: the text of its translation.
        links: the alignment; without it words are aligned by their order.
    """
    if not source.nodes:
        return Marked(target)
    placer = _Placer(source, target, links or _by_order(source.text, target))
    nodes = placer.assign(source.nodes, 0, len(target))
    written = _Writer(source.text, target, placer.slots, placer.used)
    nodes = written.nodes(nodes, 0, len(target))
    text = "".join(written.parts)
    return Marked(text, _in_order(source.nodes, nodes))


def _by_order(source: str, target: str) -> list[Link]:
    a = [match.span() for match in _WORD.finditer(source)]
    b = [match.span() for match in _WORD.finditer(target)]
    return [Link(span, a[i * len(a) // len(b)]) for i, span in enumerate(b)] if a else []


class _Placer:
    """Finds the range of each node in the translation."""

    def __init__(self, source: Marked, target: str, links: Sequence[Link]) -> None:
        self._source = source.text
        self._target = target
        self._begin = len(source.text) - len(source.text.lstrip())
        self._end = len(source.text.rstrip())
        self._last_letter = max((match.start() for match in _LETTER.finditer(source.text)), default=-1)
        self._stretches = _stretches(target)
        self._after_space = _after_space(target)
        self._points: dict[tuple[int, bool], Range] = {}
        """Results of ``_point``, cached because many nodes may be at one place."""
        # The alignment of a punctuation mark says nothing.
        said = [link for link in links if _has_word(target, link.target) and _has_word(source.text, link.source)]
        self._links = sorted(said, key=lambda link: link.target)
        self._standing: dict[Node, list[Range]] = {}
        self.slots: list[Range] = []
        """The ranges of the translation where the model wrote the names of copies."""
        self.used: set[Range] = set()
        for node in walk(source.nodes):
            if node.kind == "copy":
                self._standing[node] = list(_standing(source.text[node.start : node.end], target))
                self.slots += self._standing[node]

    def assign(self, nodes: Sequence[Node], low: int, high: int) -> tuple[Node, ...]:
        """The nodes with their ranges in the translation, in order, without overlaps, between ``low`` and ``high``."""
        wanted = [self._range(node) for node in nodes]
        latest = 0
        for i, node in enumerate(nodes):  # unpaired tags keep their order
            if node.kind == "point":
                latest = max(latest, wanted[i][0])
                wanted[i] = latest, latest
        placed = []
        for i in sorted(range(len(nodes)), key=lambda i: (wanted[i][0], i)):
            start = min(max(wanted[i][0], low), high)
            end = min(max(wanted[i][1], start), high)
            node = nodes[i]
            if node.kind in ("copy", "term") and (start, end) != wanted[i]:
                end = start  # the node gets no text if only part of its range is free
            if node.kind == "copy":
                self.used.add((start, end))
            placed.append(replace(node, start=start, end=end, children=self.assign(node.children, start, end)))
            low = end
        return tuple(placed)

    def _range(self, node: Node) -> Range:
        if node.kind == "point":
            return self._point(node.start, node.binds_next)
        linked = [link.target for link in self._links if _within(link.source, node)]
        if node.kind == "pair":
            return self._span(node, linked)
        if standing := self._standing.get(node):
            near = [slot for slot in standing if any(slot[0] < b and a < slot[1] for a, b in linked)]
            return (near or standing)[0]
        if not linked:
            return self._point(node.start, binds_next=True)
        return self._whole_words(_longest(linked))

    def _span(self, node: Node, linked: Sequence[Range]) -> Range:
        if node.start <= self._begin and self._last_letter < node.end:
            # The pair encloses the whole sentence, or all of it except the punctuation at its end.
            end = len(self._target)
            return 0, end if node.end >= self._end else len(self._target.rstrip(" .!?…;:"))
        inner = [self._range(child) for child in node.children if child.kind != "point"]
        ranges = [*([self._whole_words(_hull(linked))] if linked else []), *inner]
        return _hull(ranges) if ranges else self._next_word(self._point(node.start, binds_next=True)[0])

    def _next_word(self, at: int) -> Range:
        """The range of the word that begins at this place, so that an element does not become empty."""
        word = _LETTERS.match(self._target, at)
        return word.span() if word else (at, at)

    def _point(self, at: int, binds_next: bool) -> Range:
        if (found := self._points.get((at, binds_next))) is None:
            found = self._points[at, binds_next] = self._find_point(at, binds_next)
        return found

    def _find_point(self, at: int, binds_next: bool) -> Range:
        if at <= self._begin:
            return 0, 0
        if at >= self._end:
            return len(self._target), len(self._target)
        if binds_next:
            later = [link for link in self._links if link.source[1] > at]
            nearest = min((link.source[0] for link in later), default=None)
            found = min((link.target[0] for link in later if link.source[0] == nearest), default=len(self._target))
            found = self._whole_words((found, found + 1))[0]
        else:
            earlier = [link for link in self._links if link.source[0] < at]
            nearest = max((link.source[1] for link in earlier), default=None)
            found = max((link.target[1] for link in earlier if link.source[1] == nearest), default=0)
            found = self._whole_words((max(found - 1, 0), found))[1]
        return found, found

    def _whole_words(self, span: Range) -> Range:
        start, end = span
        if start < min(end, len(self._target)):
            start = min(self._after_space[start], end)
        start = self._stretches[start][0] if start < len(self._target) else start
        end = self._stretches[end - 1][1] if 0 < end < len(self._target) else end
        return start, max(start, end)


class _Writer:
    """Rewrites the translation: removes names that no copy uses, and inserts copies that the model has left out."""

    def __init__(self, source: str, target: str, slots: Sequence[Range], used: set[Range]) -> None:
        self._target = target
        self._leftover = sorted(slot for slot in set(slots) if slot not in used)
        self._source = source
        self._length = 0
        self._slot_end = -1
        self.parts: list[str] = []

    def nodes(self, nodes: Sequence[Node], start: int, end: int) -> tuple[Node, ...]:
        """Write a stretch of the translation. Returns its nodes with their ranges in the new text."""
        made = []
        for node in nodes:
            self._text(start, node.start)
            begin = self._length
            children: tuple[Node, ...] = ()
            if node.kind == "pair":
                children = self.nodes(node.children, node.start, node.end)
            elif node.kind != "point" and node.start == node.end:
                begin = self._put_in(node)
            else:
                self._put(self._target[node.start : node.end])
            made.append(replace(node, start=begin, end=self._length, children=children))
            start = node.end
            if node.kind in ("copy", "term"):
                self._slot_end = self._length
            if node.kind in ("copy", "term") and node.start == node.end and self._target[start : start + 1].isalnum():
                self._put(" ")
        self._text(start, end)
        return tuple(made)

    def _put_in(self, node: Node) -> int:
        last = self.parts[-1][-1:] if self.parts else ""
        if last and (not last.isspace() or self._slot_end == self._length):
            self._put(" ")
        begin = self._length
        self._put(self._source[node.start : node.end])  # so that the next leg of a pivot route reads the name
        return begin

    def _text(self, start: int, end: int) -> None:
        for a, b in self._leftover:
            if start <= a and b <= end:
                self._put(self._target[start:a].rstrip(" "))
                start = b
        self._put(self._target[start:end])

    def _put(self, text: str) -> None:
        if text:
            self.parts.append(text)
            self._length += len(text)


def _stretches(text: str) -> list[Range]:
    """For each character the range of its word of letters and digits, or its own range."""
    found: list[Range] = []
    for is_word, characters in groupby(text, str.isalnum):
        size, start = len(list(characters)), len(found)
        found += [(start, start + size)] * size if is_word else [(at, at + 1) for at in range(start, start + size)]
    return found


def _after_space(text: str) -> list[int]:
    """For each character the index of the first character from there on that is no space, or the text's length."""
    found = [len(text)] * len(text)
    for at in range(len(text) - 1, -1, -1):
        if not text[at].isspace():
            found[at] = at
        elif at + 1 < len(text):
            found[at] = found[at + 1]
    return found


def _standing(name: str, target: str) -> Iterator[Range]:
    """Yield the ranges where a name begins a word of the translation, with a short ending if it has one ("Toms")."""
    at = target.find(name) if name else -1
    is_number = name.isdecimal()
    while at >= 0:
        end = at + len(name)
        is_longer = is_number and target[end : end + 1].isdecimal()
        if not is_longer and (not at or not _LETTER.match(target, at - 1)):
            ending = None if is_number else _LETTERS.match(target, end)
            end = ending.end() if ending and len(ending[0]) <= LONGEST_ENDING else end
            yield at, end
            at = end - 1
        at = target.find(name, at + 1)


def _has_word(text: str, span: Range) -> bool:
    return any(character.isalnum() for character in text[span[0] : span[1]])


def _within(source: Range, node: Node) -> bool:
    middle = (source[0] + source[1]) / 2
    return node.start <= middle < node.end


def _hull(ranges: Sequence[Range]) -> Range:
    return min(start for start, _ in ranges), max(end for _, end in ranges)


def _longest(ranges: Sequence[Range]) -> Range:
    """The longest stretch of successive ranges with at most one character between them."""
    best = current = ranges[0]
    for start, end in ranges[1:]:
        current = (current[0], end) if start - current[1] <= 1 else (start, end)
        if current[1] - current[0] > best[1] - best[0]:
            best = current
    return best


def _in_order(source: Sequence[Node], placed: Sequence[Node]) -> tuple[Node, ...]:
    """The placed nodes. The texts of ordered copies are assigned to them anew, in the order of the source."""
    writes = [node.open for node in walk(source) if node.is_ordered]
    if len(writes) < 2:
        return tuple(placed)
    given = iter(writes)

    def deal(nodes: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(
            replace(node, open=next(given) if node.is_ordered else node.open, children=deal(node.children))
            for node in nodes
        )

    return deal(placed)
