"""Archives with formatted text as passages: docx, pptx, odt and epub.

Formatting within a passage becomes tags, which the translation keeps around their words. See ``documents``.
"""

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
from server.tasks.documents import HTML, WORD, Document, Part, Passage, damaged
from server.tasks.translation.markup import Rules, cut

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
"""Elements that may stand within a sentence. A new sentence has no marks of spelling; bookmarks move before it."""


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
