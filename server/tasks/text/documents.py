"""A text of any format as sentences to translate and what stands around them.

Joined with its own sentences a document is the text it was made from, byte for byte. Knows no models.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.tasks.text.blocks import Rules, runs_of
from server.tasks.text.glossary import Found, Glossary
from server.tasks.text.marks import Marked, Node
from server.tasks.text.placeholders import Protected
from server.tasks.text.runs import HELD, Mark, Run, hold, plain_run, words_of
from server.tasks.text.sentences import split

STAND_INS = ("Tom", "Boston", "John")
"""Names that stand for what is held back. Models copy names; these are the ones that the shipped model copies best
(docs/translation.md has the numbers). More in one sentence are put in where the words around them went."""

DEEPEST = 20
"""Tags nested deeper are put in one by one."""


@dataclass(frozen=True, slots=True)
class Document:
    """Sentences and what stands before, between and after them: one more gap than sentences."""

    sentences: tuple[Marked, ...]
    gaps: tuple[str, ...]
    is_markup: bool = False

    def join(self, sentences: Sequence[Marked]) -> str:
        """The document with these sentences in place of its own, one for one."""
        parts = [self.gaps[0]]
        for sentence, gap in zip(sentences, self.gaps[1:], strict=True):
            parts += (self.write(sentence), gap)
        return "".join(parts)

    def write(self, sentence: Marked) -> str:
        """A sentence as it is written in this format."""
        return sentence.render(_escape if self.is_markup else str)


def untouched(text: str) -> Document:
    """A document with nothing to translate."""
    return Document((), (text,))


def read_runs(text: str, rules: Rules | None) -> list[Run | str]:
    """A text as runs; ``rules`` say that it is HTML or XML."""
    return [plain_run(text)] if rules is None else runs_of(text, rules)


def plain_text(runs: Sequence[Run | str]) -> str:
    """What there is to read in runs."""
    return "\n".join(words_of(runs))


def build(
    runs: Sequence[Run | str],
    language: str,
    *,
    is_markup: bool,
    glossary: Glossary,
    count_tokens: Callable[[str], int],
    limit_tokens: int,
) -> Document:
    """The sentences of runs.

    Args:
        runs: what ``read_runs`` gave.
        language: ISO 639-1 code of their language.
        is_markup: whether text has to be escaped.
        glossary: terms that have a translation of their own.
        count_tokens: how many tokens a text has.
        limit_tokens: the most tokens that a sentence may have; longer ones are split.
    """
    sentences: list[Marked] = []
    gaps: list[list[str]] = [[]]

    def count(text: str) -> int:
        return count_tokens(text.replace(HELD, f" {STAND_INS[0]} "))

    for run in runs:
        if isinstance(run, str):
            gaps[-1].append(run)
            continue
        stays = [Protected("copy", term.start, term.end) for term in glossary.find(run.text) if term.stays]
        run = hold(run, stays)
        skeleton = split(run.text, language, count, limit_tokens)
        at, marks = 0, run.marks
        start = 0
        for gap, sentence in zip(skeleton.gaps, skeleton.sentences, strict=False):
            start += len(gap)
            end = start + len(sentence)
            before, own, marks = _share(marks, start, end)
            gaps[-1].append(run.raw(at, start, before))
            sentences.append(_marked(run, start, end, own, glossary))
            gaps.append([])
            at = start = end
        gaps[-1].append(run.raw(at, len(run.text), marks))
    return Document(tuple(sentences), tuple("".join(gap) for gap in gaps), is_markup)


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _share(marks: Sequence[Mark], start: int, end: int) -> tuple[list[Mark], list[Mark], list[Mark]]:
    """The marks before a sentence, of it, and after it. At its edges only whole pairs are its own."""
    before = [mark for mark in marks if mark.at < start]
    near = [mark for mark in marks if start <= mark.at <= end]
    after = [mark for mark in marks if mark.at > end]
    paired = _paired(near)
    first, last = 0, len(near)
    while first < last and near[first].at == start and first not in paired:
        first += 1
    while first < last and near[last - 1].at == end and last - 1 not in paired:
        last -= 1
    own = near[first:last]
    return before + near[:first], own, near[last:] + after


def _paired(marks: Sequence[Mark]) -> dict[int, int]:
    """Opening marks and their closing ones, both ways; crossing ones are none."""
    found: dict[int, int] = {}
    stack: list[int] = []
    for i, mark in enumerate(marks):
        if mark.kind == "open":
            stack.append(i)
        elif mark.kind == "close" and any(marks[j].name == mark.name for j in stack):
            while marks[stack[-1]].name != mark.name:
                stack.pop()
            j = stack.pop()
            if len(stack) < DEEPEST:
                found |= {i: j, j: i}
    return found


def _marked(run: Run, start: int, end: int, marks: Sequence[Mark], glossary: Glossary) -> Marked:
    """The sentence as a model is to read it, its marks and what it holds back as nodes."""
    plain = run.text[start:end]
    if not marks and HELD not in plain and not glossary.find(plain):
        return Marked(plain)
    names = [name for name in STAND_INS if name not in plain]
    paired = _paired(marks)
    text = ""
    frames: list[tuple[Mark | None, int, list[Node]]] = [(None, 0, [])]
    at = start
    for i, mark in enumerate([*marks, None]):
        until = end if mark is None else mark.at
        floor = max((node.end for _, _, nodes in frames for node in nodes), default=0)
        text = _read(run, at, until, text, frames[-1][2], names, floor)
        at = until
        if mark is None:
            break
        if i in paired and mark.kind == "open":
            frames.append((mark, len(text), []))
        elif i in paired:
            opened, begin, children = frames.pop()
            frames[-1][2].append(_pair(opened, mark, min(begin, len(text)), len(text), children))
        else:
            place = len(text)
            frames[-1][2].append(Node("point", place, place, mark.raw, binds_next=mark.kind != "close"))
    nodes = tuple(frames[0][2])
    for found in glossary.find(text):
        nodes = _with_term(nodes, found)
    return Marked(text, nodes)


def _read(run: Run, start: int, end: int, text: str, nodes: list[Node], names: list[str], floor: int) -> str:
    """The text with the run's next characters, held ones as nodes; what is before ``floor`` stays as it is."""
    for i in range(start, end):
        if run.text[i] != HELD:
            # A point takes the space before it along, or else the one after it.
            last = nodes[-1] if nodes else None
            if run.text[i] == " " and not text and last is not None and last.kind == "point" and last.end == 0:
                nodes[-1] = replace(last, open=last.open + run.written[i])
                continue
            text += run.text[i]
            continue
        raw = run.written[i]
        if i in run.points or not names:
            if text.endswith(" ") and len(text) > floor:
                raw, text = " " + raw, text[:-1]
            nodes.append(Node("point", len(text), len(text), raw))
        else:
            name = names.pop(0)
            nodes.append(Node("copy", len(text), len(text) + len(name), raw, is_ordered=i in run.ordered))
            text += name
            floor = len(text)
    return text


def _pair(opened: Mark | None, closed: Mark, start: int, end: int, children: list[Node]) -> Node:
    """An element; without any text in it, it is a point."""
    raw = "" if opened is None else opened.raw
    if start == end:
        inner = "".join(node.open for node in children)
        return Node("point", start, start, raw + inner + closed.raw, binds_next=True)
    return Node("pair", start, end, raw, closed.raw, tuple(children))


def _with_term(nodes: tuple[Node, ...], found: Found) -> tuple[Node, ...]:
    """The nodes with a term among them; a term that a node cuts in two is none."""
    for i, node in enumerate(nodes):
        if node.kind == "pair" and node.start <= found.start and found.end <= node.end:
            inner = replace(node, children=_with_term(node.children, found))
            return (*nodes[:i], inner, *nodes[i + 1 :])
        if node.start < found.end and found.start < node.end:
            return nodes
    term = Node("term", found.start, found.end, found.target)
    before = [node for node in nodes if node.end <= found.start]
    return (*before, term, *nodes[len(before) :])
