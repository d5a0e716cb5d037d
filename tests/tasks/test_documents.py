"""Files as passages: what is not translated comes through byte for byte, and no file costs more than it is long."""

import collections
import contextlib
import io
import json
import random
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Mapping

import polib
import pytest
import yaml

from server.errors import BadRequest, TooLarge
from server.tasks import formatted
from server.tasks.catalogs import balanced
from server.tasks.documents import ENDINGS, portions, read
from tests.hostile import growth, shape

FILES = {
    "letter.txt": "Dear Anna,\n\nI am here.\nSecond line.\n\n\n  Indented.  \n12\n",
    "read.md": "---\nlang: en\n---\n# Hello world\n\nA *very* **big**\nparagraph with `code` and a "
    "[link](https://x.example/a_b).\n\n"
    "| House | Price |\n|---|:-:|\n| small | 5 |\n\n- [ ] Buy milk\n- [x] Done\n  and more\n\n1. Install it:\n\n"
    "       npm install foobar\n\n> Quoted\n> text\n\n```sh\necho hi\n```\n\n    code\n\nNotes.[^1] "
    "snake_case_name 2 * 3 \\*x\\*\n\n"
    "[^1]: The note.\n[ref]: https://example.com\n\n***\n\nTitle\n=====\nAT&T &nbsp; x < y\n",
    "page.html": "<!doctype html>\n<title>My page</title><style>p{}</style>\n<p class='a'>Hello <b>big</b> world.</p>"
    "<p>5</p><br>Text &amp; more<p translate=no>stays</p>",
    "film.srt": "1\n00:00:01,000 --> 00:00:02,000\nHello <i>there</i>,\nmy friend & co.\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\n- Yes.\n- No.\n\n",
    "film.vtt": "WEBVTT\n\nNOTE a comment\n\n00:01.000 --> 00:02.000 align:start\n<v Anna>We are <c.red>in</c> town.\n",
    "en.json": '{"a": "Hello", "b": {"c": ["One \\"two\\"", 3, true, "x\\u00e9 \\ud83d\\ude00"]}, '
    '"n": null, "e": ""}\n',
    "en.yaml": "en:\n  hello: Hello world  # why\n  q: 'It''s'\n  d: \"Say \\\"hi\\\"\"\n  yes: true\n"
    "  list:\n  - First 😀 one\n  - 2\n  block: |\n    Line one\n    Line two\n  fold: >-\n    some text\n"
    "    folded\n  anchor: &x Text here\n  ref: *x\n",
    "de.po": '# c\nmsgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n#: a.c:1\n'
    'msgid "Hello \\"you\\""\n'
    'msgstr ""\n\n#, fuzzy\nmsgid "Old"\nmsgstr "Alt"\n\nmsgctxt "menu"\n'
    'msgid "%d file"\nmsgid_plural "%d files"\n'
    'msgstr[0] ""\nmsgstr[1] ""\n\nmsgid ""\n"One\\n"\n"two"\nmsgstr ""\n\n#~ msgid "gone"\n#~ msgstr "weg"\n',
    "rows.csv": 'id;text\n1;"Hello; ""you"""\n2;Good morning\n\n3;\n',
    "rows.tsv": "id\ttext\n1\tHello, you\n",
    "rows.jsonl": '{"text": "Hello"}\n\n{"text": "Yes", "n": 1}\n',
    "m.properties": "# c\n! d\nhello=Hello world\nlong = one \\\n    two\nuni=caf\\u00e9\n"
    "empty=\nkey\\ with\\=signs: Yes\n",
    "m.strings": '/* c "x" */\n"hello" = "Hello \\"you\\"";\n// "c" = "d";\n"b"="Two";\n',
}


DOCX = (
    '<?xml version="1.0"?>\n<w:document xmlns:w="urn:w" xmlns:r="urn:r"><w:body><w:p><w:pPr><w:rPr>'
    "<w:b/></w:rPr></w:pPr>"
    '<w:r w:rsidR="1"><w:t xml:space="preserve">Hello </w:t></w:r><w:proofErr w:type="x"/><w:r><w:t>my </w:t></w:r>'
    '<w:bookmarkStart w:id="0"/><w:r><w:rPr><w:b/></w:rPr><w:t>dear</w:t></w:r><w:r><w:t> friend '
    "&amp; co.</w:t></w:r></w:p>"
    '<w:p><w:r><w:t>One</w:t><w:br/><w:t>Two</w:t></w:r><w:hyperlink r:id="x"><w:r><w:t>Link</w:t>'
    "</w:r></w:hyperlink></w:p>"
    "</w:body></w:document>"
)
ODT = (
    "<office:document-content><office:styles><number:text>x y</number:text></office:styles>"
    "<office:body><text:h>Title</text:h>"
    '<text:p>Hello <text:span text:style-name="T1">big</text:span> world<text:note><text:p>A note.'
    "</text:p></text:note>."
    "</text:p><text:p><text:span>One</text:span><text:span> two</text:span></text:p></office:body>"
    "</office:document-content>"
)
XHTML = (
    '<?xml version="1.0"?><!DOCTYPE html><html><head><title>My book</title><style>p{}</style></head><body>'
    "<p>Hello <em>big</em> world.<br/>Next</p><ul><li>Item <ul><li>Inner</li></ul></li></ul>"
    "<pre>code</pre></body></html>"
)
PPTX = (
    '<p:sld xmlns:p="urn:p" xmlns:a="urn:a"><a:p><a:r><a:rPr lang="en"/><a:t>Hello </a:t></a:r>'
    '<a:r><a:rPr lang="en" b="1"/><a:t>World</a:t></a:r><a:endParaRPr/></a:p></p:sld>'
)
ARCHIVES = {
    "a.docx": {"[Content_Types].xml": "<x/>", "word/document.xml": DOCX, "word/media/i.png": b"\x89PNG\xff"},
    "a.odt": {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": ODT},
    "a.epub": {
        "mimetype": "application/epub+zip",
        "O/a.xhtml": XHTML,
        "toc.ncx": "<ncx><text>Chapter one</text></ncx>",
    },
    "a.pptx": {"ppt/slides/slide1.xml": PPTX, "ppt/presentation.xml": "<x>stays</x>"},
}


def packed(members: Mapping[str, str | bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def unpacked(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def told(name: str, raw: bytes | None = None) -> list[str]:
    return read(name, FILES[name].encode() if raw is None else raw).texts


def shouted(name: str) -> str:
    """The file with every passage in capitals, behind two signs that formats escape."""
    document = read(name, FILES[name].encode())
    return document.write([f'Ü"\\{text.upper()}' for text in document.texts]).decode()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_whose_passages_come_back_is_the_file(name: str, encoding: str, newline: str) -> None:
    raw = FILES[name].replace("\n", newline).encode(encoding)
    document = read(name, raw)
    assert document.texts
    assert document.write(document.texts) == raw


def test_every_format_is_tried() -> None:
    tried = {f".{name.rpartition('.')[2]}" for name in FILES}
    assert tried | {".htm", ".yml", ".pot", *(f".{name.rpartition('.')[2]}" for name in ARCHIVES)} == set(ENDINGS)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("letter.txt", ["Dear Anna,", "I am here.\nSecond line.", "Indented.  \n12"]),
        ("read.md", ["Hello world",
                     'A <data id="0">very</data> '
                     '<data id="1">big</data> paragraph with <var'
                     ' id="2"></var> and a <data id="3">link</data>.',
                     "House", "Price", "small", "Buy milk", "Done and more",
                     "Install it:", "Quoted text", 'Notes.<var id="0"></var> snake_case_name 2 * 3 <var id="1"></var>x'
                     '<var id="2"></var>', "The note.", "Title", "AT&amp;T &amp;nbsp; x &lt; y"]),
        ("page.html", ["My page", "Hello <b>big</b> world.", "Text &amp; more"]),
        ("film.srt", ["Hello <i>there</i>, my friend & co.", "- Yes.", "- No."]),
        ("film.vtt", ["<v Anna>We are <c.red>in</c> town."]),
        ("en.json", ["Hello", 'One "two"', "xé 😀"]),
        ("en.yaml", ["Hello world", "It's", 'Say "hi"', "First 😀 one", "Line one\nLine two",
                     "some text folded", "Text here"]),
        ("de.po", ['Hello "you"', "%d file", "%d files", "One\ntwo"]),
        ("rows.csv", ['Hello; "you"', "Good morning"]),
        ("rows.jsonl", ["Hello", "Yes"]),
        ("m.properties", ["Hello world", "one two", "café", "Yes"]),
        ("m.strings", ['Hello "you"', "Two"]),
    ],
)  # fmt: skip
def test_what_is_translated_of_each_format(name: str, texts: list[str]) -> None:
    assert told(name) == texts


def test_translations_are_escaped_as_each_format_has_it() -> None:
    made = json.loads(shouted("en.json"))
    assert made == {"a": 'Ü"\\HELLO', "b": {"c": ['Ü"\\ONE "TWO"', 3, True, 'Ü"\\XÉ 😀']}, "n": None, "e": ""}
    made = yaml.safe_load(shouted("en.yaml"))["en"]
    assert made["list"] == ['Ü"\\FIRST 😀 ONE', 2]
    assert (made["q"], made["block"], made["fold"]) == ("Ü\"\\IT'S", 'Ü"\\LINE ONE\nLINE TWO\n', 'Ü"\\SOME TEXT FOLDED')
    assert made[True] is True
    assert made["ref"] == made["anchor"] == 'Ü"\\TEXT HERE'
    assert '1;"Ü""\\HELLO; ""YOU"""\n2;"Ü""\\GOOD MORNING"\n\n3;\n' in shouted("rows.csv")
    assert 'hello=\\u00dc"\\\\HELLO WORLD\n' in shouted("m.properties")
    assert '"hello" = "Ü\\"\\\\HELLO \\"YOU\\"";' in shouted("m.strings")


def test_gettext_keeps_what_is_translated_and_fills_what_is_not() -> None:
    entries = {entry.msgid: entry for entry in polib.pofile(shouted("de.po"))}
    assert entries['Hello "you"'].msgstr == 'Ü"\\HELLO "YOU"'
    assert entries["%d file"].msgstr_plural == {0: 'Ü"\\%D FILE', 1: 'Ü"\\%D FILES'}
    assert entries["One\ntwo"].msgstr == 'Ü"\\ONE\nTWO'
    assert (entries["Old"].msgstr, entries["Old"].fuzzy) == ("Alt", True)
    assert entries["gone"].obsolete


def test_cues_keep_their_lines_and_their_signs() -> None:
    document = read("film.srt", FILES["film.srt"].encode())
    made = document.write(["Guten Tag, mein lieber Freund &amp; Co.", *document.texts[1:]]).decode()
    assert "\nGuten Tag, mein\nlieber Freund & Co.\n\n2\n" in made
    assert balanced("a", 3) == ["a"]
    assert balanced("<v Anna Bell>one two three four", 2) == ["<v Anna Bell>one", "two three four"]


def test_old_encodings_of_two_formats_are_read() -> None:
    raw = '<meta charset="iso-8859-1"><p>Un café</p>'.encode("latin-1")
    document = read("a.html", raw)
    assert document.texts == ["Un café"]
    assert document.write(["Ein Café für 5 Ω"]) == '<meta charset="iso-8859-1"><p>Ein Café für 5 &#937;</p>'.encode(
        "latin-1"
    )
    assert told("m.properties", "a=café".encode("latin-1")) == ["café"]


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("a.pdf", b"%PDF", ".txt"),
        ("noending", b"x", ".txt"),
        ("a.txt", "Grüße".encode("latin-1"), "byte 2 is not UTF-8"),
        ("a.txt", b"\xff\xfea", "UTF-16-LE"),
        ("a.txt", b"a\0b", "no text"),
        ("a.json", b'{"a": "b"', "no JSON"),
        ("a.json", b"[" * 100_000, "no JSON"),
        ("a.json", b'{"a": NaN}', "no JSON"),
        ("a.jsonl", b'{"a": "b"}\n{"a\n', "line 2"),
        ("a.yaml", b"a: [b\n", "no YAML"),
        ("a.yaml", b"[" * 100_000, "nested"),
        ("a.po", b'msgid "a\nmsgstr ""\n', "line 1"),
        ("a.po", b'"a"\n', "line 1"),
        ("a.csv", b'a,b\n1,"never closed\n2,x\n', "line 2"),
        ("a.csv", b'a,b\n1,"x"y\n', "line 2"),
        ("a.properties", b"a=\\ud83d", "surrogate"),
        ("a.strings", b'"a"="\\ud83d";', "surrogate"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_says_is_refused_with_the_place(name: str, raw: bytes, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(name, raw)
    assert says in caught.value.message
    assert caught.value.param == "file"


def test_no_alias_of_yaml_is_followed() -> None:
    bomb = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert told("bomb.yaml", bomb.encode()) == ["ha", "ha"]


def test_long_paragraphs_are_cut_at_a_line() -> None:
    raw = ("A line of text.\n" * 2000).encode()
    document = read("a.txt", raw)
    assert max(map(len, document.texts)) < 5000
    assert document.write(document.texts) == raw
    assert all(len(portion) <= 64 for portion in portions(document.texts))
    assert [text for portion in portions(document.texts) for text in portion] == document.texts


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("a.docx", ['Hello my <data id="1">dear</data> friend &amp; co.', "One", "Two", "Link"]),
        ("a.odt", ["Title", 'Hello <text:span text:style-name="T1">big</text:span> world', "A note.",
                   "<text:span>One</text:span><text:span> two</text:span>"]),
        ("a.epub", ["My book", "Hello <em>big</em> world.", "Next", "Item ", "Inner", "Chapter one"]),
        ("a.pptx", ['Hello <data id="1">World</data>']),
    ],
)  # fmt: skip
def test_archives_keep_all_members_and_all_but_the_words(name: str, texts: list[str]) -> None:
    members = ARCHIVES[name]
    raw = packed(members)
    document = read(name, raw)
    assert document.texts == texts
    assert document.write(texts) == raw
    made = unpacked(document.write([text.replace("l", "L").replace("o", "o ") for text in texts]))
    assert list(made) == list(members)
    read_again = read(name, packed(dict(made)))
    assert len(read_again.texts) == len(texts)
    for member, content in members.items():
        if "stays" in str(content) or not str(content).startswith(("<", "<?")) or content == "<x/>":
            assert made[member] == (content.encode() if isinstance(content, str) else content)
    if name in ("a.docx", "a.pptx"):
        text = next(content for member, content in made.items() if "document" in member or "slide1" in member)
        ET.fromstring(text)  # noqa: S314  our own


def test_words_in_another_order_keep_their_format() -> None:
    made = unpacked(
        read("a.docx", packed(ARCHIVES["a.docx"])).write(['<data id="1">Lieber</data> Freund', "x", "y", "z"])
    )
    assert (
        '<w:bookmarkStart w:id="0"/><w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">Lieber</w:t></w:r>'
        '<w:r><w:t xml:space="preserve"> Freund</w:t></w:r></w:p>'
    ) in made["word/document.xml"].decode()


def test_markdown_is_written_with_its_signs() -> None:
    document = read("a.md", b"A **big** [house](u_v) `a_b` \\*.\n")
    made = document.write(
        ['Das <data id="1">Haus</data> ist <data id="0">groß</data> &amp; <var id="2"></var> <var id="3"></var>']
    )
    assert made.decode() == "Das [Haus](u_v) ist **groß** & `a_b` \\*\n"
    crossed = read("a.md", b"**a [b** c](d) <b>e</b>\n")
    assert crossed.write([text.replace("c", "z") for text in crossed.texts]) == b"**a [b** z](d) <b>e</b>\n"


def bomb() -> bytes:
    return packed({"word/document.xml": DOCX, "x": b"0" * (formatted.MOST_UNPACKED_BYTES + 1)})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"no archive", "no whole archive"),
        (packed(ARCHIVES["a.docx"])[:-30], "no whole archive"),
        (packed(ARCHIVES["a.docx"]).replace(b"document.xml", b"documenu.xml"), "no text"),
        (packed({"word/document.xml": DOCX.encode("utf-16")}), "UTF-8"),
        (packed({"word/document.xml": DOCX, "../evil": "x"}), "leads out"),
        (packed({"word/document.xml": DOCX, "/evil": "x"}), "leads out"),
        (packed({"word/document.xml": DOCX, "..\\evil": "x"}), "leads out"),
        (packed({"word/document.xml": DOCX}, zipfile.ZIP_LZMA), "packed"),
        (packed({"word/document.xml": '<!DOCTYPE a [<!ENTITY b "c">]>' + DOCX}), "entities"),
    ],
)  # fmt: skip
def test_a_hostile_archive_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read("a.docx", raw)
    assert says in caught.value.message


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    raw = bomb()
    assert len(raw) < 100_000
    with pytest.raises(TooLarge, match="unpacked"):
        read("a.docx", raw)


def test_what_an_archive_says_of_its_size_binds() -> None:
    raw = packed({"word/document.xml": DOCX + " " * 1000})
    lied = raw.replace((len(DOCX) + 1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(BadRequest, match="no whole archive"):
        read("a.docx", lied)


@pytest.mark.parametrize("kind", [".strings", ".po", ".properties", ".csv", ".json", ".jsonl", ".md", ".srt", ".html"])
def test_a_file_costs_in_proportion_to_its_length(kind: str) -> None:
    def reads(text: str) -> None:
        with contextlib.suppress(BadRequest):
            read(f"a{kind}", text.encode())

    units = ('\\"', "/*", '"a";', "//", "[a](", "**_", "<!--", "{", "`", "| a |\n")
    grown = {unit: growth(reads, lambda n, unit=unit: '"' + shape(unit, n), 6_000) for unit in units}  # type: ignore[misc]
    assert {unit: times for unit, times in grown.items() if times >= 3} == {}


def test_a_quote_that_never_closes_is_told_with_its_line() -> None:
    with pytest.raises(BadRequest, match="the quote in line 2 never closes"):
        read("a.strings", b'"a" = "b";\n"c" = "d;\n')


def test_a_damaged_archive_is_refused_before_anything_is_translated() -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "<w:p><w:r><w:t>Hello world.</w:t></w:r></w:p>")
        archive.writestr("word/media/image.png", bytes(range(256)) * 4)
    rng = random.Random(0)
    outcomes = collections.Counter[str]()
    for _ in range(1_000):
        raw = bytearray(whole.getvalue())
        for _ in range(rng.choice((1, 1, 2, 5))):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            document = read("a.docx", bytes(raw))
        except (BadRequest, TooLarge):
            outcomes["refused"] += 1
            continue
        document.write([text.replace("Hello", "Hallo") for text in document.texts])
        outcomes["written"] += 1
    assert min(outcomes.values()) > 100
