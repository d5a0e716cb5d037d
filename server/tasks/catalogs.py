"""Files of messages, tables and cues as passages: JSON, YAML, gettext, CSV, properties, strings and subtitles.

Each is read where it stands and written there again, with the escapes of its format. See ``documents``.
"""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from server.errors import BadRequest
from server.tasks.documents import Found, Passage, damaged, lines_of, stripped
from server.tasks.translation.markup import Rules

try:
    import yaml
except ModuleNotFoundError:  # the extra `documents`
    yaml = None

_JSON_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+"?')  # in JSON that was parsed before, each text closes
_COLON = re.compile(r"\s*:")


def json_file(text: str) -> Found:
    """Every text that is a value; names are left alone."""
    try:
        from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise damaged(f"it is no JSON ({str(error)[:100]})") from None
    return Found(_json_texts(text, 0, len(text), _is_escaped(text)))


def json_lines(text: str) -> Found:
    """The same, of one JSON value a line."""
    is_ascii = _is_escaped(text)
    found: list[Passage] = []
    for number, (start, end) in enumerate(lines_of(text), 1):
        if text[start:end].strip():
            try:
                from_json(text[start:end], allow_inf_nan=False)
            except ValueError:
                raise damaged(f"line {number} is no JSON") from None
            found += _json_texts(text, start, end, is_ascii)
    return Found(found)


def _is_escaped(text: str) -> bool:
    """Whether a file writes all but ASCII as escapes."""
    return "\\u" in text and text.isascii()


def _json_texts(text: str, start: int, end: int, is_ascii: bool) -> list[Passage]:
    found = []
    for match in _JSON_TEXT.finditer(text, start, end):
        after = _COLON.match(text, match.end())
        if after is None:
            found.append(
                Passage(match.start() + 1, match.end() - 1, json.loads(match[0]), lambda made: _quoted(made, is_ascii))
            )
    return found


def _quoted(text: str, is_ascii: bool = False) -> str:
    """A text as JSON has it, without the quotes."""
    return json.dumps(text, ensure_ascii=is_ascii)[1:-1]


MOST_DEPTH = 100
"""The library's time grows with the square of the depth."""


def yaml_file(text: str) -> Found:
    """The values of mappings and lists that are texts. Read event by event: nothing is built, no alias is followed."""
    if yaml is None:
        raise BadRequest("YAML is not read here: the extra 'documents' is not installed.", "file")
    found: list[Passage] = []
    within: list[int | None] = []
    """The open collections: how many nodes a mapping has had, None for a list."""
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):
            is_name = bool(within) and within[-1] is not None and within[-1] % 2 == 0
            if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent | yaml.AliasEvent):
                if within and within[-1] is not None:
                    within[-1] += 1
                if len(within) > MOST_DEPTH:
                    raise damaged(f"it is nested more than {MOST_DEPTH} deep")
                if isinstance(event, yaml.CollectionStartEvent):
                    within.append(0 if isinstance(event, yaml.MappingStartEvent) else None)
                elif isinstance(event, yaml.ScalarEvent) and not is_name and event.tag is None:
                    found += _yaml_text(text, event)
            elif isinstance(event, yaml.CollectionEndEvent):
                within.pop()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise damaged(f"it is no YAML{f' in line {mark.line + 1}' if mark else ''}") from None
    return Found(found)


_YAML_PLAIN = re.compile(r"[^\W\d_](?:[^\n:#]|:(?=\S)|(?<=\S)#){0,2000}(?<![\s:])")
_YAML_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))


def _yaml_text(text: str, event: Any) -> Iterator[Passage]:
    start, end = event.start_mark.index, event.end_mark.index
    value, style = event.value, event.style or None  # the compiled library says '' of plain text
    if style is None and (value.lower() in _YAML_WORDS or not value):
        return
    if event.anchor is not None:
        start += text[start:end].index(event.anchor) + len(event.anchor)
        start, _ = stripped(text, start, end)
    raw = text[start:end]
    if style in ("|", ">"):
        newline = "\r\n" if "\r\n" in raw else "\n"
        head, _, body = raw.partition(newline)
        lines = body.rstrip().split(newline)
        first = next((line for line in lines if line.strip()), "")
        margin = first[: len(first) - len(first.lstrip(" "))]
        tail = body[len(body.rstrip()) :]
        given = value.rstrip("\n")

        def write_block(made: str) -> str:
            return newline.join([head, *(margin + line if line else "" for line in made.split("\n"))]) + tail

        yield Passage(start, end, given, write_block)
        return

    def write(made: str) -> str:
        if style == "'" and "\n" not in made:
            return "'" + made.replace("'", "''") + "'"
        if style is None and _YAML_PLAIN.fullmatch(made) and made.lower() not in _YAML_WORDS:
            return made
        return json.dumps(made, ensure_ascii=False)

    yield Passage(start, end, value, write)


_PO_LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr)(\[\d{1,3}\])?[ \t]*)?("(?:[^"\\]++|\\.)*+")')
_PO_ESCAPE = re.compile(r"\\(.)")
_PO_MEANS = {"n": "\n", "t": "\t", "r": "\r"}


def gettext(text: str) -> Found:
    """The entries of gettext without a translation: each gets one. Those that have one, fuzzy or not, stay."""
    found: list[Passage] = []
    entry: dict[str, list[tuple[int, int, str]]] = {}
    name = ""
    newline = "\r\n" if "\r\n" in text else "\n"

    def close() -> None:
        def value(of: str) -> str:
            return "".join(_PO_ESCAPE.sub(lambda m: _PO_MEANS.get(m[1], m[1]), raw[1:-1]) for *_, raw in entry[of])

        for slot in entry if entry.get("msgid") and value("msgid") else ():
            if slot.startswith("msgstr") and not value(slot):
                is_plural = slot not in ("msgstr", "msgstr[0]") and "msgid_plural" in entry
                given = value("msgid_plural" if is_plural else "msgid")
                found.append(
                    Passage(entry[slot][0][0], entry[slot][-1][1], given, lambda made: _po_text(made, newline))
                )
        entry.clear()

    for number, (line, after) in enumerate(lines_of(text), 1):
        start, end = stripped(text, line, after)
        if start >= end or text[start] == "#":
            if any(each.startswith("msgstr") for each in entry):
                close()
            continue
        match = _PO_LINE.fullmatch(text, start, end)
        if match is None or not (match[1] or name):
            raise damaged(f"line {number} is not gettext's")
        if match[1]:
            name = match[1] + (match[2] or "")
            if match[1] in ("msgctxt", "msgid") and any(each.startswith("msgstr") for each in entry):
                close()
        entry.setdefault(name, []).append((match.start(3), match.end(3), match[3]))
    close()
    return Found(found)


def _po_text(text: str, newline: str) -> str:
    def quoted(line: str) -> str:
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{escaped}"'

    lines = text.splitlines(keepends=True)
    return quoted(text) if len(lines) < 2 else newline.join(['""', *map(quoted, lines)])


_PLAIN_CELLS = {comma: re.compile(rf"[^{re.escape(comma)}\r\n]*") for comma in ",;\t|"}
_CELL = re.compile(r'"(?:[^"]++|"")*+"')


def table(text: str) -> Found:
    """Cells with words, below the first row. The sign between cells is the one that the first row has most of."""
    first = text[: max(text.find("\n"), 0) or len(text)]
    comma = max(_PLAIN_CELLS, key=first.count)
    found: list[Passage] = []
    at, is_first = 0, True
    plain = _PLAIN_CELLS[comma]
    while at < len(text):
        if text[at] == '"':
            cell = _CELL.match(text, at)
            if cell is None:
                raise damaged(f"the quote in line {text.count(chr(10), 0, at) + 1} never closes")
            value = cell[0][1:-1].replace('""', '"')
        else:
            cell = plain.match(text, at)
            assert cell is not None  # noqa: S101  it matches nothing, too
            value = cell[0]
        if not is_first:
            found.append(Passage(at, cell.end(), value, lambda made, raw=cell[0]: _cell(made, raw, comma)))  # type: ignore[misc]
        at = cell.end()
        sign = text[at : at + 1]
        if sign not in ("", comma, "\r", "\n"):
            raise damaged(f"line {text.count(chr(10), 0, at) + 1} goes on after a quote")
        is_first = is_first and sign != "\n"
        at += 1
    return Found(found)


def _cell(made: str, raw: str, comma: str) -> str:
    needs = raw.startswith('"') or any(sign in made for sign in (comma, '"', "\n", "\r"))
    return '"' + made.replace('"', '""') + '"' if needs else made


_PROPERTY = re.compile(r"(?:[^\s\\:=]++|\\.)++[ \t\f]*+[:=]?[ \t\f]*+")
_PROPERTY_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|\r?\n[ \t\f]*|(.))", re.DOTALL)


def properties(text: str) -> Found:
    """The values of Java's properties; a backslash at a line's end goes on in the next."""
    found: list[Passage] = []
    is_ascii = text.isascii()
    start = -1
    begins = -1
    for line, end in lines_of(text):
        if begins < 0:
            start, _ = stripped(text, line, end)
            if start >= end or text[start] in "#!":
                continue
            begins = start
        tail = text[line:end]
        if (len(tail) - len(tail.rstrip("\\"))) % 2 and end < len(text):
            continue
        match = _PROPERTY.match(text, begins, end)
        if match is not None and match.end() < end:
            value = text[match.end() : end]
            means = _PROPERTY_ESCAPE.sub(_property_sign, value)
            found.append(Passage(match.end(), end, _joined(means), lambda made: _property(made, is_ascii)))
        begins = -1
    return Found(found)


def _property_sign(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}.get(match[2], match[2]) if match[2] else ""


def _joined(text: str) -> str:
    """A text in which the halves of surrogate pairs have found each other.

    Raises:
        BadRequest: a half is alone.
    """
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise damaged("half of a surrogate pair stands alone in it") from None


def _property(made: str, is_ascii: bool) -> str:
    escaped = made.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    if escaped[:1] == " ":
        escaped = f"\\{escaped}"
    if not is_ascii:
        return escaped
    wide = escaped.encode("utf-16-be")
    units = (wide[i : i + 2] for i in range(0, len(wide), 2))
    return "".join(
        chr(int.from_bytes(each)) if each[0] == 0 and each[1] < 128 else f"\\u{each.hex()}" for each in units
    )


_STRINGS = re.compile(r'/\*(?:.*?\*/|.*)|//[^\n]*|"((?:[^"\\]++|\\.)*+)("?)', re.DOTALL)
"""Comments and texts. One that never closes goes to the end of the file, so that nothing is read a second time."""
_EQUALS = re.compile(r"\s*=")


def strings(text: str) -> Found:
    """The values of Apple's .strings: what stands after an equals sign."""
    found: list[Passage] = []
    is_value = False
    for match in _STRINGS.finditer(text):
        if match[1] is None:
            continue
        if not match[2]:
            raise damaged(f"the quote in line {text.count(chr(10), 0, match.start()) + 1} never closes")
        if is_value:
            means = _joined(_PROPERTY_ESCAPE.sub(_property_sign, match[1]))
            found.append(Passage(match.start(1), match.end(1), means, _quoted))
        is_value = not is_value and _EQUALS.match(text, match.end()) is not None
    return Found(found)


_TAG = re.compile(r"</?([a-zA-Z][^\s/<>]{0,80})")
_MOMENT = re.compile(r"<\d[\d:.]{0,20}>")
_PIECE = re.compile(r"(?:<[^<>]{0,200}>|\S)+")
_ENTITIES = re.compile(r"&(?:amp|lt|gt|nbsp|quot|#\d{1,7});")


def subtitles(text: str) -> Found:
    """The cues of SubRip and WebVTT: the lines after a line with an arrow, up to a blank one. Lines that begin with a
    dash are speakers of their own."""
    found: list[Passage] = []
    spoken: list[tuple[int, int]] = []
    in_cue = False

    def close() -> None:
        if spoken:
            found.append(_cue(text, spoken[0][0], spoken[-1][1], len(spoken)))
            spoken.clear()

    for line, after in lines_of(text):
        start, end = stripped(text, line, after)
        if start >= end or "-->" in text[start:end]:
            close()
            in_cue = start < end
        elif in_cue:
            if text[start] in "-–—":
                close()
            spoken.append((start, end))
    close()
    tags = frozenset(name.lower() for name in _TAG.findall(text))
    return Found(found, Rules(non_splitting=tags))


def _cue(text: str, start: int, end: int, lines: int) -> Passage:
    raw = text[start:end]
    is_plain = _ENTITIES.search(raw) is None
    given = _MOMENT.sub("", raw)
    words = " ".join(given.split())
    newline = "\r\n" if "\r\n" in raw else "\n"
    given = html.escape(words, quote=False) if is_plain and "<" not in words else words

    def write(translation: str) -> str:
        if is_plain:
            translation = translation.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return newline.join(balanced(translation, lines))

    return Passage(start, end, given, write)


def balanced(text: str, lines: int) -> list[str]:
    """A text on at most so many lines of about equal length; tags are not cut."""
    pieces = _PIECE.findall(text)
    made: list[str] = []
    left = len(text)
    for piece in pieces:
        room = left / max(1, lines - len(made) + 1)
        if made and (len(made) == lines or len(made[-1]) + len(piece) / 2 < room):
            made[-1] += f" {piece}"
        else:
            if made:
                left -= len(made[-1]) + 1
            made.append(piece)
    return made
