"""Files as passages: what is not translated comes through byte for byte, and no file costs more than it is long."""

import json

import polib
import pytest
import yaml

from server.errors import BadRequest
from server.tasks.documents import ENDINGS, balanced, portions, read

FILES = {
    "letter.txt": "Dear Anna,\n\nI am here.\nSecond line.\n\n\n  Indented.  \n12\n",
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
    assert tried | {".htm", ".yml", ".pot"} == set(ENDINGS)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("letter.txt", ["Dear Anna,", "I am here.\nSecond line.", "Indented.  \n12"]),
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
