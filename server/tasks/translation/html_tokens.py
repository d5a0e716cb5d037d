"""HTML or XML cut into its tags, comments and text. Joined, the cuts are the document, whatever it is.

The rules are those of the HTML standard's tokenizer, section 13.2.5: where a tag, an attribute's value, a comment or a
script ends. Nothing is written anew, and nothing is read twice, so the time is proportional to the length. Python's own
parser needs 12 s for 35 kB of unclosed quotes, and parsers that build a tree write quotes, case, entities and white
space their own way. Knows nothing of nesting.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

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
    """A stretch of a document. ``offload``: comments, declarations, scripts' content, and tags that never end."""

    kind: Literal["text", "open", "close", "empty", "aside"]
    raw: str
    name: str = ""
    """Of a tag: in HTML in lower case."""
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
    """The tag or comment that begins here; None where ``<`` is text."""
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
        if match.lastindex == 1 and _UNENDED_VALUE.match(document, end):  # its quote never closes
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
