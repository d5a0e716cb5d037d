"""Files with formatting as passages: Markdown, and the archives docx, pptx, odt and epub.

Formatting within a passage becomes tags, which the translation keeps around their words. See ``documents``.
"""

import html
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath

from server.errors import TooLarge
from server.tasks import documents
from server.tasks.documents import HTML, LONGEST, WORD, Document, Found, Part, Passage, damaged, lines_of, stripped
from server.tasks.translation.markup import Rules, cut

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
_OURS = re.compile(r"</?(?:data|var)\b")
_QUOTED_LINE = re.compile(r"\r?\n(?:[ \t]*>)*[ \t]*")


def _inline(text: str, start: int, end: int) -> Passage:
    """A stretch of Markdown as HTML: emphasis and links are tags around their words, what is held is an element."""
    raw = _QUOTED_LINE.sub(" ", text[start:end])
    pieces: list[str] = []
    pairs: list[tuple[str, str]] = []
    """What the tags with each number are in Markdown."""
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


MOST_UNPACKED_BYTES = 50_000_000
MOST_MEMBERS = 5_000

_ODT = Rules(
    is_xml=True,
    ignored=("dc:creator", "dc:date", "meta:creator-initials", "office:binary-data"),
    splitting=frozenset(
        ("text:p", "text:h", "text:tab", "text:line-break", "text:note", "text:list", "text:list-item", "text:section",
         "draw:frame", "draw:text-box", "office:annotation", "table:table", "table:table-row", "table:table-cell")
    ),
    non_splitting=("text:span", "text:a", "text:s", "text:bookmark", "text:soft-page-break"),
)  # fmt: skip
_XHTML = Rules(
    is_xml=True,
    ignored=("script", "style", "pre", "code", "kbd", "samp", "var", "math", "svg", "template"),
    splitting=frozenset(
        ("p", "div", "li", "ul", "ol", "table", "thead", "tbody", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6",
         "br", "hr", "section", "article", "aside", "nav", "header", "footer", "dl", "dt", "dd", "blockquote", "figure",
         "figcaption", "body", "head", "html", "title", "text", "navLabel", "navPoint", "docTitle")
    ),
    non_splitting=frozenset(("a", "b", "i", "em", "strong", "span", "small", "sub", "sup", "u", "abbr", "cite", "q")),
)  # fmt: skip

_READ = {
    ".docx": (re.compile(r"\Aword/(?:document|header\d*|footer\d*|footnotes|endnotes|comments)\.xml\Z"), HTML),
    ".pptx": (re.compile(r"\Appt/(?:slides/slide|notesSlides/notesSlide)\d+\.xml\Z"), HTML),
    ".odt": (re.compile(r"\Acontent\.xml\Z"), _ODT),
    ".epub": (re.compile(r"\.(?:xhtml|html|htm|ncx)\Z", re.IGNORECASE), _XHTML),
}
"""Which members of an archive have text, and how that is read."""
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError)
"""The library's exceptions for archives that are damaged in one way or another."""


def unpack(kind: str, raw: bytes) -> Document:
    """Take an archive apart. All of its members but those with text come through as they are.

    Raises:
        BadRequest: it is damaged or encrypted, or has what no office program writes.
        TooLarge: it unpacks to more than ``MOST_UNPACKED_BYTES``.
    """
    pattern, rules = _READ[kind]
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
        members = archive.infolist()
        _require_harmless(members)
        if archive.testzip() is not None:  # all of it, before anything is translated
            raise zipfile.BadZipFile
        names = [each.filename for each in members if pattern.search(each.filename)]
        texts = {name: archive.read(name).decode("utf-8") for name in names}
    except _DAMAGE:
        raise damaged("it is no whole archive, or its text is not UTF-8") from None
    if not names:
        raise damaged(f"there is no text of a file '{kind}' in it")
    if any("<!ENTITY" in text for text in texts.values()):
        raise damaged("it declares entities")
    parts = [Part(text, _passages(kind, text, rules)) for text in texts.values()]

    def finish(made: Sequence[str]) -> bytes:
        changed = {name: new for name, new in zip(names, made, strict=True) if new != texts[name]}
        return _packed(archive, members, changed) if changed else raw

    return Document(parts, rules, finish, len(raw))


def _require_harmless(members: Sequence[zipfile.ZipInfo]) -> None:
    size = sum(each.file_size for each in members)
    if size > MOST_UNPACKED_BYTES or len(members) > MOST_MEMBERS:
        raise TooLarge("The unpacked file", size, MOST_UNPACKED_BYTES, "bytes", "file")
    if len({each.filename for each in members}) < len(members):
        raise damaged("two of its members have one name")
    for each in members:
        path = PurePosixPath(each.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in each.filename:
            raise damaged("a member's name leads out of it")
        if each.flag_bits & 1 or each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise damaged("it is encrypted, or packed in a way that office programs do not use")


def _packed(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], changed: dict[str, str]) -> bytes:
    """The archive with other texts: the same members, in their order, with their dates."""
    made = io.BytesIO()
    try:
        with zipfile.ZipFile(made, "w") as new:
            for each in members:
                info = zipfile.ZipInfo(each.filename, each.date_time)
                info.compress_type, info.external_attr = each.compress_type, each.external_attr
                info.create_system, info.comment = each.create_system, each.comment
                text = changed.get(each.filename)
                new.writestr(info, archive.read(each) if text is None else text.encode("utf-8"))
    except _DAMAGE:
        raise damaged("it is no whole archive") from None
    return made.getvalue()


def _passages(kind: str, text: str, rules: Rules) -> list[Passage]:
    if kind == ".docx":
        return _paragraphs(text, "w")
    if kind == ".pptx":
        return _paragraphs(text, "a")
    body = text.find("<office:body") if kind == ".odt" else 0
    return documents.runs(text[body:], rules, body) if body >= 0 else []


@dataclass(slots=True)
class _Run:
    """A stretch of one format in a paragraph of Word or PowerPoint: ``start`` to ``end``, its words within."""

    start: int
    end: int = -1
    words_start: int = -1
    words_end: int = -1
    format: str = ""
    texts: list[tuple[int, int]] = field(default_factory=list)
    """Where each of its texts is."""
    is_plain: bool = True
    """Whether there is one text in it and nothing else."""


_TURN = re.compile(r'<data id="(\d+)">|</data>|$')
_BETWEEN = frozenset(("w:proofErr", "w:bookmarkStart", "w:bookmarkEnd"))
"""What may stand within a sentence. Marks of spelling go when it is written anew, bookmarks move before it."""


def _paragraphs(text: str, space: str) -> list[Passage]:
    """Each stretch of runs with one text each is a passage; of other runs each text is one."""
    run_name, text_name, format_name = f"{space}:r", f"{space}:t", f"{space}:rPr"
    found: list[Passage] = []
    row: list[_Run] = []
    run: _Run | None = None
    format_start = words_start = -1
    at = 0

    def close() -> None:
        if row and WORD.search("".join(text[each.words_start : each.words_end] for each in row)):
            found.append(_sentence(text, row))
        row.clear()

    for each in cut(text, xml=True):
        start, at = at, at + len(each.raw)
        if each.kind in ("text", "aside"):
            continue
        if run is None:
            if each.name == run_name and each.kind == "open":
                run = _Run(start)
            elif each.name not in _BETWEEN:
                close()
        elif each.name == run_name and each.kind == "open":  # a box with text of its own
            close()
            run = _Run(start)
        elif each.name == run_name:
            run.end = at
            if run.is_plain and len(run.texts) == 1:
                [(run.words_start, run.words_end)] = run.texts
                row.append(run)
            else:
                close()
                found += [Passage(*one, text[slice(*one)]) for one in run.texts if WORD.search(text[slice(*one)])]
            run = None
        elif each.name == format_name:
            if each.kind == "open":
                format_start = start
            elif each.kind == "close":
                run.format, format_start = text[format_start:at], -1
            else:
                run.format = each.raw
        elif format_start >= 0 or each.name == "w:lastRenderedPageBreak":
            continue
        elif each.name == text_name and each.kind != "empty":
            if each.kind == "open":
                words_start = at
            elif words_start >= 0:
                run.texts.append((words_start, start))
        else:
            run.is_plain = False
    close()
    return found


def _sentence(text: str, row: Sequence[_Run]) -> Passage:
    """Runs as HTML: the format that most of the words have is plain, the others are tags around theirs."""
    groups: list[list[_Run]] = []
    for each in row:
        if groups and groups[-1][0].format == each.format:
            groups[-1].append(each)
        else:
            groups.append([each])
    words = ["".join(text[each.words_start : each.words_end] for each in group) for group in groups]
    plain = max(range(len(groups)), key=lambda i: len(words[i]))
    given = "".join(
        said if group[0].format == groups[plain][0].format else f'<data id="{i}">{said}</data>'
        for i, (group, said) in enumerate(zip(groups, words, strict=True))
    )
    between = "".join(text[one.end : other.start] for one, other in pairwise(row))
    kept = "".join(each.raw for each in cut(between, xml=True) if each.name in _BETWEEN - {"w:proofErr"})
    around = [
        (_spaced(text[group[0].start : group[0].words_start]), text[group[0].words_end : group[0].end])
        for group in groups
    ]

    def write(made: str) -> str:
        written, at, now = [kept], 0, plain
        for match in _TURN.finditer(made):
            if said := made[at : match.start()]:
                written += (around[now][0], said, around[now][1])
            at, now = match.end(), int(match[1]) if match[1] else plain
        return "".join(written)

    return Passage(row[0].start, row[-1].end, given, write)


def _spaced(opening: str) -> str:
    """The beginning of a run of Word, told to keep the spaces at its ends."""
    return f'{opening[:-5]}<w:t xml:space="preserve">' if opening.endswith("<w:t>") else opening
