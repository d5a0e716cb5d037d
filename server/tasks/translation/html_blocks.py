"""HTML and XML as runs: what is one stretch of text to a reader, and what is left alone.

A block (a paragraph, a cell, a line break) ends a run; inline tags are marks in it. Scripts, styles, ``<pre>``,
comments and what says ``translate="no"`` or ``class="notranslate"`` come back as they are; inline, they stand for
a word.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from server.tasks.translation.html_tokens import Cut, cut
from server.tasks.translation.segments import Segment, SegmentWriter

_INLINE = frozenset(
    ("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "del", "dfn", "em", "font", "i", "img", "ins",
     "label", "mark", "q", "rp", "rt", "ruby", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt",
     "u", "wbr")
)  # fmt: skip
_CODE = frozenset(("code", "kbd", "samp", "var"))
"""Left alone, and inline."""
_ALONE = frozenset(
    ("script", "style", "pre", "template", "noscript", "textarea", "math", "svg", "object", "iframe", "xmp", "noembed",
     "noframes", "listing", "plaintext")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """Which elements are what. The defaults are HTML's."""

    is_xml: bool = False
    ignored: Collection[str] = ()
    """Left alone, DeepL's ``ignore_tags``."""
    splitting: Collection[str] = ()
    """Always blocks."""
    non_splitting: Collection[str] = ()
    """Never blocks."""
    lines: bool = False
    """Whether a line break may end a sentence, as in plain text; in HTML it is a space."""
    outline: bool = True
    """XML: whether elements are blocks that stand among elements and not among text."""


def runs_of(document: str, rules: Rules) -> list[Segment | str]:
    """The document as runs and what is left alone, in order."""
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
    attributes = dict(reversed(each.attributes))  # the first of a name counts
    if attributes.get("translate", "").lower() == "no" or "notranslate" in attributes.get("class", "").split():
        return True
    return not rules.is_xml and (each.name in _ALONE or each.name in _CODE)


def _inline(cuts: Sequence[Cut], rules: Rules) -> set[int]:
    """The cuts that do not end a run."""
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
    """Each opening tag's closing tag, where it has one."""
    found: dict[int, int] = {}
    open_: dict[str, list[int]] = {}
    for i, each in enumerate(cuts):
        if each.kind == "open":
            open_.setdefault(each.name, []).append(i)
        elif each.kind == "close" and open_.get(each.name):
            found[open_[each.name].pop()] = i
    return found


def _beside_text(cuts: Sequence[Cut]) -> set[int]:
    """The tags of elements that stand among text: those whose parent has text of its own."""
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
