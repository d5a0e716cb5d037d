"""HTML and XML as segments: stretches of text that a reader sees as one, and markup between them that is left alone.

The rules of the HTML standard's tokenizer (section 13.2.5) cut a document into tags, comments and text. They say where
a tag, an attribute's value, a comment or a script ends. The joined cuts are always the document. Nothing is read twice,
so the time is proportional to the length. Python's own parser needs 12 s for 35 kB of unclosed quotes, and parsers that
build a tree change quotes, case, entities and white space.

A block (a paragraph, a cell, a line break) ends a segment; inline tags are marks in it. Scripts, styles, ``<pre>``,
comments and elements with ``translate="no"`` or ``class="notranslate"`` stay unchanged. Inside a segment such an
element counts as a word.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from server.tasks.translation.segments import Segment, SegmentWriter

VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
_RAW = frozenset(("script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title"))
_TEXT_WITH_ENTITIES = frozenset(("title",))

_HTML_NAME = re.compile(r"</?([a-zA-Z][^\s/>]*)")
_XML_NAME = re.compile(r"</?([a-zA-Z_:\u0080-\U0010ffff][^\s/>]*)")
_ATTRIBUTE = re.compile(
    r"[\s/]*((?:=[^\s/>=]*|[^\s/>=]+))(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|(?=>)|([^\s>\"'][^\s>]*)))?"
)
_UNENDED_VALUE = re.compile(r"\s*=\s*[\"']")
_BEFORE_END = re.compile(r"[\s/]*")
_COMMENT_END = re.compile(r"--!?>")
_RAW_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW}


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch of a document. ``aside``: a comment, a declaration, a script's content, or a tag that never ends."""

    kind: Literal["text", "open", "close", "empty", "aside"]
    raw: str
    name: str = ""
    """The name of a tag; in HTML in lower case."""
    attributes: tuple[tuple[str, str], ...] = ()


def cut(document: str, *, xml: bool = False) -> Iterator[Cut]:
    """Yield the document's cuts in order."""
    text_from = at = 0
    while (at := document.find("<", at)) >= 0:
        found = _markup(document, at, xml)
        if found is None:
            at += 1
            continue
        if text_from < at:
            yield Cut("text", document[text_from:at])
        yield found
        at += len(found.raw)
        if not xml and found.kind == "open" and found.name in _RAW:
            end = _RAW_END[found.name].search(document, at)
            content = document[at : end.start() if end else len(document)]
            if content:
                yield Cut("text" if found.name in _TEXT_WITH_ENTITIES else "aside", content)
            at += len(content)
        text_from = at
    if text_from < len(document):
        yield Cut("text", document[text_from:])


def _markup(document: str, at: int, xml: bool) -> Cut | None:
    """The tag or comment that begins at this place; None if the ``<`` is text."""
    if document.startswith("<!--", at):
        return _aside(document, at, _comment_end(document, at))
    if xml and document.startswith("<![CDATA[", at):
        return _aside(document, at, _after(document, "]]>", at))
    if xml and document.startswith("<?", at):
        return _aside(document, at, _after(document, "?>", at))
    name = (_XML_NAME if xml else _HTML_NAME).match(document, at)
    if name is not None:
        return _tag(document, at, name, xml)
    if document.startswith(("<!", "<?"), at) or (document.startswith("</", at) and at + 2 < len(document)):
        return _aside(document, at, _after(document, ">", at))
    return None


def _tag(document: str, at: int, name: re.Match[str], xml: bool) -> Cut:
    attributes: list[tuple[str, str]] = []
    end = name.end()
    while (match := _ATTRIBUTE.match(document, end)) is not None:
        end = match.end()
        value = next((group for group in match.groups()[1:] if group is not None), "")
        attributes.append((match[1] if xml else match[1].lower(), value))
        if match.lastindex == 1 and _UNENDED_VALUE.match(document, end):  # the value's quotation mark never closes
            return _aside(document, at, len(document))
    slash = _BEFORE_END.match(document, end)
    end = slash.end() if slash else end
    if document[end : end + 1] != ">":
        return _aside(document, at, len(document))
    raw = document[at : end + 1]
    plain = name[1] if xml else name[1].lower()
    if raw.startswith("</"):
        return Cut("close", raw, plain)
    is_empty = raw.endswith("/>") if xml else plain in VOID
    return Cut("empty" if is_empty else "open", raw, plain, tuple(attributes))


def _aside(document: str, at: int, end: int) -> Cut:
    return Cut("aside", document[at:end])


def _after(document: str, mark: str, at: int) -> int:
    found = document.find(mark, at)
    return len(document) if found < 0 else found + len(mark)


def _comment_end(document: str, at: int) -> int:
    for short in ("<!-->", "<!--->"):
        if document.startswith(short, at):
            return at + len(short)
    found = _COMMENT_END.search(document, at + 4)
    return found.end() if found else len(document)


_INLINE = frozenset(
    ("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "del", "dfn", "em", "font", "i", "img", "ins",
     "label", "mark", "q", "rp", "rt", "ruby", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt",
     "u", "wbr")
)  # fmt: skip
_CODE = frozenset(("code", "kbd", "samp", "var"))
"""Inline elements that are left alone."""
_ALONE = frozenset(
    ("script", "style", "pre", "template", "noscript", "textarea", "math", "svg", "object", "iframe", "xmp", "noembed",
     "noframes", "listing", "plaintext")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """The roles of elements, by name. The defaults are HTML's."""

    is_xml: bool = False
    ignored: Collection[str] = ()
    """Elements that are left alone: DeepL's ``ignore_tags``."""
    splitting: Collection[str] = ()
    """Elements that are always blocks."""
    non_splitting: Collection[str] = ()
    """Elements that are never blocks."""
    lines: bool = False
    """Whether a line break may end a sentence, as in plain text. In HTML a line break is a space."""
    outline: bool = True
    """In XML, whether an element is a block if its parent has no text of its own."""


def runs_of(document: str, rules: Rules) -> list[Segment | str]:
    """The document as segments to translate and texts to leave alone, in order."""
    cuts = list(cut(document, xml=rules.is_xml))
    inline = _inline(cuts, rules)
    ends = _ends(cuts)
    found: list[Segment | str] = []
    writer: SegmentWriter | None = None
    i = 0
    while i < len(cuts):
        each = cuts[i]
        after = i + 1
        if _is_alone(each, rules):
            after = ends.get(i, len(cuts) if each.kind == "open" else i) + (each.kind == "open" and i in ends)
            after = max(after, i + 1)
        if each.kind == "text" or i in inline:
            writer = writer or SegmentWriter(rules.lines)
            if each.kind == "text":
                writer.text(each.raw)
            elif _is_alone(each, rules) and each.kind == "open":
                writer.hold("".join(one.raw for one in cuts[i:after]))
            else:
                writer.mark("empty" if each.kind == "aside" else each.kind, each.raw, each.name)
        else:
            if writer is not None:
                found.append(writer.finish())
                writer = None
            found.append("".join(one.raw for one in cuts[i:after]))
        i = after
    if writer is not None:
        found.append(writer.finish())
    return found


def _is_alone(each: Cut, rules: Rules) -> bool:
    if each.kind not in ("open", "empty"):
        return False
    if each.name in rules.ignored:
        return True
    attributes = dict(reversed(each.attributes))  # of several attributes with one name the first counts
    if attributes.get("translate", "").lower() == "no" or "notranslate" in attributes.get("class", "").split():
        return True
    return not rules.is_xml and (each.name in _ALONE or each.name in _CODE)


def _inline(cuts: Sequence[Cut], rules: Rules) -> set[int]:
    """The indices of the cuts that do not end a segment."""
    mixed = _beside_text(cuts) if rules.is_xml and rules.outline else None
    found = set()
    for i, each in enumerate(cuts):
        if each.kind == "aside":
            is_inline = each.raw.startswith("<!--") or (rules.is_xml and each.raw.startswith("<![CDATA["))
        elif each.name in rules.splitting:
            is_inline = False
        elif each.name in rules.non_splitting or each.name in rules.ignored:
            is_inline = True
        elif rules.is_xml:
            is_inline = mixed is None or i in mixed
        else:
            is_inline = each.name in _INLINE or each.name in _CODE
        if is_inline:
            found.add(i)
    return found


def _ends(cuts: Sequence[Cut]) -> dict[int, int]:
    """The index of each opening tag's closing tag, by the index of the opening tag, if it is closed."""
    found: dict[int, int] = {}
    open_: dict[str, list[int]] = {}
    for i, each in enumerate(cuts):
        if each.kind == "open":
            open_.setdefault(each.name, []).append(i)
        elif each.kind == "close" and open_.get(each.name):
            found[open_[each.name].pop()] = i
    return found


def _beside_text(cuts: Sequence[Cut]) -> set[int]:
    """The indices of the tags of elements whose parent has text of its own."""
    parents: list[tuple[list[int], list[bool]]] = [([], [False])]
    found: set[int] = set()

    def leave() -> None:
        tags, has_text = parents.pop()
        if has_text[0]:
            found.update(tags)

    for i, each in enumerate(cuts):
        if each.kind == "text" and each.raw.strip():
            parents[-1][1][0] = True
        elif each.kind == "empty":
            parents[-1][0].append(i)
        elif each.kind == "open":
            parents[-1][0].append(i)
            parents.append(([], [False]))
        elif each.kind == "close":
            if len(parents) > 1:
                leave()
            parents[-1][0].append(i)
    while parents:
        leave()
    return found
