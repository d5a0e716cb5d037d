"""The cuts of a document, against the rules of the HTML standard and Python's own parser."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.tasks.translation.markup import cut

no_deadline = settings(deadline=None)  # a busy machine is no defect
PIECES = [
    "<p>", "</p>", "<b class='x'>", "</b>", "<br/>", "<IMG src=a alt=\"a>b\">", "<a href=x/y>", "</a >", "<!-- c -->",
    "<!DOCTYPE html>", "&amp;", "&nbsp;", "a < b", "text ", "\n", "<script>if (a<b) {}</script>", "<style>p{}</style>",
    "<title>a <b> c</title>", "é", "<i data-x>", "</i>",
]  # fmt: skip
BROKEN = [*PIECES, "<", ">", "</", "<!", "<!--", "--!>", "<a b='", '"', "=", "<?x", "]]>", "<![CDATA[", "</script", "/"]


@no_deadline
@given(st.one_of(st.text(), st.lists(st.sampled_from(BROKEN)).map("".join)), st.booleans())
def test_joined_the_cuts_are_the_document(document: str, xml: bool) -> None:
    assert "".join(each.raw for each in cut(document, xml=xml)) == document


class Events(HTMLParser):
    """What Python's parser sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.seen: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(("open", tag + "".join(f" {name}={value or ''}" for name, value in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(("close", tag))

    def handle_comment(self, data: str) -> None:
        self.seen.append(("comment", data))


@no_deadline
@given(st.lists(st.sampled_from([piece for piece in PIECES if "title" not in piece])).map("".join))
def test_tags_are_those_that_pythons_parser_finds(document: str) -> None:
    events = Events()
    events.feed(document)
    events.close()
    ours = []
    for each in cut(document):
        if each.kind in ("open", "empty"):
            attributes = "".join(f" {name}={value}" for name, value in each.attributes)
            ours.append(("open", each.name + attributes))
        elif each.kind == "close":
            ours.append(("close", each.name))
        elif each.raw.startswith("<!--"):
            ours.append(("comment", each.raw[4:-3]))
    empty = [("close", "br")]  # Python's parser closes <br/> itself
    assert ours == [event for event in events.seen if event not in empty]


@pytest.mark.parametrize(
    ("document", "kinds"),
    [
        ("a < b", ["text"]),
        ("<a b=\"x>y\" c='>'>z", ["open", "text"]),
        ('<a =">">', ["open", "text"]),
        ("<!-->x-->", ["aside", "text"]),
        ("<!-- a", ["aside"]),
        ("</ x>y", ["aside", "text"]),
        ("<a b='", ["aside"]),
        ("<title>a<b></title>", ["open", "text", "close"]),
        ("<SCRIPT>a</script x>", ["open", "aside", "close"]),
        ("<br>", ["empty"]),
        ("<p/>", ["open"]),
    ],
)
def test_a_tag_ends_where_the_standard_says(document: str, kinds: list[str]) -> None:
    assert [each.kind for each in cut(document)] == kinds


def test_xml_has_empty_elements_sections_and_names_of_its_own() -> None:
    cuts = list(cut("<x:Y/><![CDATA[a<b]]><?p a>b?><script>a<b/></script>", xml=True))
    assert [each.kind for each in cuts] == ["empty", "aside", "aside", "open", "text", "empty", "close"]
    assert cuts[0].name == "x:Y"


@pytest.mark.parametrize(
    "piece", ["<!--", "<!-- >", "<a ", '<a b="', "<a b='\" ", "</a ", "<script>", "<![CDATA[", "<b>"]
)
def test_time_is_proportional_to_the_length(piece: str) -> None:
    document = piece * 20_000
    began = time.process_time()
    for _ in cut(document):
        pass
    assert time.process_time() - began < 3.0  # about 0.1 s; reading anything twice takes ten seconds and more
