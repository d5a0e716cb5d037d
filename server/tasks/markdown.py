"""Markdown as passages: paragraphs, headings, items and cells. Formatting within a passage becomes tags.

``markdown`` reads a file (``documents``). ``MarkdownText`` is a text of a request: all of its passages as one HTML.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import replace

from server.tasks.documents import HTML, LONGEST, SMALL_SHARE, Found, Passage, lines_of, stripped
from server.tasks.offload import offload, size_of
from server.tasks.results import Done, Translation

_QUOTE = re.compile(r"(?:[ \t]{0,3}>[ \t]?){0,20}")
_BLOCK = re.compile(
    r"[ \t]*(?:[-*+][ \t]+(?:\[[ xX]\][ \t]+)?|\d{1,9}[.)][ \t]+|#{1,6}[ \t]+|\[\^[^\]\s]{1,80}\]:[ \t]*)"
)
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_ASIDE = re.compile(r"[ \t]{0,3}(?:\[(?!\^)[^\]\n]{1,200}\]:[ \t]|</?[a-zA-Z!]|[-*_=][-*_= \t]*$)")
_RULE = frozenset("|:- \t")
_BAR = re.compile(r"(?:\\.|`[^`|]{0,400}`|[^|\\`]|[\\`])+")


def markdown(text: str) -> Found:
    """Paragraphs, headings, items, cells. Code, front matter, HTML blocks, rules and addresses stay."""
    found: list[Passage] = []
    open_: list[tuple[int, int]] = []
    """The lines of the paragraph so far."""
    quote = fence = ""
    depth, was_blank = 0, True
    lines = list(lines_of(text))
    at = _front_matter(text, lines)

    def close() -> None:
        if open_:
            found.append(_inline(text, open_[0][0], open_[-1][1]))
            open_.clear()

    for start, end in lines[at:]:
        marks = _QUOTE.match(text, start, end)
        inner = marks.end() if marks else start
        line = text[inner:end]
        width = len(line[: len(line) - len(line.lstrip())].expandtabs(4))
        if (match := _FENCE.match(line)) is not None and fence in ("", match[1]):
            close()
            fence = "" if fence else match[1]
        elif fence:
            continue
        elif not line.strip():
            close()
            was_blank = True
            continue
        elif (not open_ and was_blank and width >= depth + 4) or _ASIDE.match(line):
            close()  # indented code, HTML, a rule, the address of a link
        else:
            block = _BLOCK.match(text, inner, end)
            if block is not None or text[start:inner].count(">") != quote.count(">"):
                close()
            quote = text[start:inner]
            first, last = stripped(text, block.end() if block else inner, end)
            if block is not None:
                depth = 0 if "#" in block[0] else block.end() - inner
            elif not open_ and was_blank and first == inner:
                depth = 0
            if line.lstrip().startswith("|"):
                close()
                if not _RULE.issuperset(line):
                    found += [_inline(text, *stripped(text, *cell.span())) for cell in _BAR.finditer(text, first, last)]
            elif first < last:
                open_.append((first, last))
                if (block and "#" in block[0]) or line.endswith(("  ", "\\")) or last - open_[0][0] > LONGEST:
                    close()
        was_blank = False
    close()
    return Found(found, HTML)


def _front_matter(text: str, lines: Sequence[tuple[int, int]]) -> int:
    """How many lines of YAML there are before the text."""
    if lines and text[slice(*lines[0])] == "---":
        for number, (start, end) in enumerate(lines[1:], 2):
            if text[start:end] in ("---", "..."):
                return number
    return 0


_TARGET = r"(?:\([^()\s]{0,400}(?:\([^()\s]{0,100}\)[^()\s]{0,100})?(?: \"[^\"\n]{0,200}\")?\)|\[[^\[\]\n]{0,100}\])"
_MARK = re.compile(
    r"(?P<held>`[^`\n]{1,400}`|``[^\n]{1,400}?``|\[\^[^\]\s]{1,80}\]|<[a-z]{2,10}:[^<>\s]{1,400}>|\\[!-/:-@\[-`{-~])"
    r"|(?P<tag></?[a-zA-Z][^<>\n]{0,200}>)"
    rf"|(?P<link>!?\[)(?=[^\[\]]{{1,400}}\]{_TARGET})|(?P<bold>\*{{1,3}}|~~|_{{1,3}})"
)
_LINK_END = re.compile(rf"\]{_TARGET}")
_MADE = re.compile(r"<var id=\"(\d+)\"></var>|<data id=\"(\d+)\">|</data>")
_OURS = re.compile(r"</?(?:data|var|hr)\b")
_QUOTED_LINE = re.compile(r"\r?\n(?:[ \t]*>)*[ \t]*")


def _inline(text: str, start: int, end: int) -> Passage:
    """A stretch of Markdown as HTML: emphasis and links are tags around their words, what is held is an element."""
    raw = _QUOTED_LINE.sub(" ", text[start:end])
    pieces: list[str] = []
    pairs: list[tuple[str, str]] = []
    """The Markdown signs of the tags with each number."""
    open_: list[tuple[str, int]] = []
    """Emphasis that has begun: its sign and its place among the pieces."""
    outside = open_
    at, link_end, link = 0, -1, -1
    while at < len(raw):
        match = _MARK.search(raw, at)
        stop = match.start() if match else len(raw)
        if 0 <= link_end <= stop and at <= link_end:
            close = _LINK_END.match(raw, link_end)
            assert close is not None  # noqa: S101  it was seen ahead
            pieces += (html.escape(raw[at:link_end], quote=False), "</data>")
            pairs[link] = (pairs[link][0], close[0])
            at, link_end, open_ = close.end(), -1, outside
            continue
        pieces.append(html.escape(raw[at:stop], quote=False))
        if match is None:
            break
        at = match.end()
        if match["held"] or (match["tag"] and _OURS.match(match[0])):
            pairs.append((match[0], ""))
            pieces.append(f'<var id="{len(pairs) - 1}"></var>')
        elif match["tag"]:
            pieces.append(match[0])
        elif match["link"]:
            link, link_end = len(pairs), raw.index("]", at)
            pairs.append((match[0], "]"))
            outside, open_ = open_, []
            pieces.append(f'<data id="{link}">')
        else:
            _emphasis(raw, match, pieces, pairs, open_)
    return Passage(start, end, "".join(pieces), lambda made: _as_markdown(made, pairs))


def _emphasis(
    raw: str, match: re.Match[str], pieces: list[str], pairs: list[tuple[str, str]], open_: list[tuple[str, int]]
) -> None:
    """Pair a sign of emphasis with the one that it ends, or note that it begins; what has no pair stays text."""
    sign = match[0]
    before, after = raw[match.start() - 1 : match.start()], raw[match.end() : match.end() + 1]
    is_word = sign[0] == "_" and before.isalnum() and after.isalnum()
    begun = next((i for i in range(len(open_) - 1, -1, -1) if open_[i][0] == sign), None)
    if begun is not None and before.strip() and not is_word:
        place = open_[begun][1]
        pairs.append((sign, sign))
        pieces[place] = f'<data id="{len(pairs) - 1}">'
        pieces.append("</data>")
        del open_[begun:]
        return
    if after.strip() and not is_word and len(open_) < 20:
        open_.append((sign, len(pieces)))
    pieces.append(sign)


def _as_markdown(made: str, pairs: Sequence[tuple[str, str]]) -> str:
    written: list[str] = []
    open_: list[int] = []
    at = 0
    for match in _MADE.finditer(made):
        written.append(html.unescape(made[at : match.start()]))
        at = match.end()
        if match[1]:
            written.append(pairs[int(match[1])][0])
        elif match[2]:
            open_.append(int(match[2]))
            written.append(pairs[open_[-1]][0])
        elif open_:
            written.append(pairs[open_.pop()][1])
    return "".join([*written, html.unescape(made[at:])])


_GAP = re.compile(r"<hr id=\"gap\">")


class MarkdownText:
    """A text of a request. ``html`` is translated; ``MarkdownWriter`` makes Markdown of its translation."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.passages = markdown(text).passages
        self.html = '<hr id="gap">'.join(passage.text for passage in self.passages)
        """The passages, with an element between two of them that ends a sentence."""

    def write(self, made: str) -> str:
        """The text with the translations of its passages."""
        writer = MarkdownWriter(self)
        return writer.push(made) + writer.finish()


class MarkdownWriter:
    """Turns the translation of a ``MarkdownText`` into Markdown, a passage at a time, as the translation comes."""

    def __init__(self, source: MarkdownText) -> None:
        self._source = source
        self._open = ""
        """The translation of the passage that has begun."""
        self._known = 0
        """The number of passages that are written."""
        self._at = 0
        """The place in the source up to which the text is written."""

    def push(self, made: str) -> str:
        """The Markdown of the passages that end in the next stretch of the translation."""
        *whole, self._open = _GAP.split(self._open + made)
        return "".join(map(self._passage, whole))

    def finish(self) -> str:
        """The rest of the Markdown."""
        last = self._passage(self._open) if self._known < len(self._source.passages) else ""
        return last + self._source.text[self._at :]

    def _passage(self, made: str) -> str:
        passage = self._source.passages[self._known]
        before = self._source.text[self._at : passage.start]
        self._known += 1
        self._at = passage.end
        if made.strip() == passage.text.strip():  # untouched: its line breaks stay too
            return before + self._source.text[passage.start : passage.end]
        return before + passage.write(made)


async def read_markdown(texts: Sequence[str]) -> list[MarkdownText]:
    """The texts of a request."""
    return await offload(lambda: list(map(MarkdownText, texts)), SMALL_SHARE * size_of(texts))


async def write_markdown(texts: Sequence[MarkdownText], done: Done[Translation]) -> Done[Translation]:
    """The translations of the texts' HTML as Markdown."""

    def written() -> list[Translation]:
        return [
            replace(item, text=text.write(item.text), alternatives=list(map(text.write, item.alternatives)))
            for text, item in zip(texts, done.items, strict=True)
        ]

    return replace(done, items=await offload(written, SMALL_SHARE * size_of(item.text for item in done.items)))
