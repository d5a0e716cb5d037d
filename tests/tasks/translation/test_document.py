"""Texts become documents and texts again, with marks and placeholders placed anew: none is lost, doubled or crossed."""

import html
import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.tasks.translation.document import Document, build, escape_markup, read_segments
from server.tasks.translation.marks import Marked
from server.tasks.translation.markup import Rules, cut
from server.tasks.translation.placeholders import Glossary, Term
from server.tasks.translation.placing import Link, place

no_deadline = settings(deadline=None)  # a busy machine is no defect
HTML = Rules()
WORDS = ["Hello there", "I see a dog", "Yes", ".", " ", "\n", "! ", "😀", "{name}", "%s", "https://x.org/a", "naïve"]
TAGS = [
    "<p>", "</p>", "<b>", "</b>", "<i class=x>", "</i>", "<br>", "<img src='a>b'>", "<!-- c -->", "<a href=\"?a&b\">",
    "</a>", "<code>x &lt; y</code>", "<span translate=no>leave this</span>", "<script>a<b</script>", "<pre>\n a </pre>",
    "<!DOCTYPE html>", "<div>", "</div>", "</x", "<", "&amp;", "&copy;", "&nbsp;", "&lt;",
]  # fmt: skip
documents = st.lists(st.sampled_from(WORDS + TAGS), max_size=30).map("".join)
SIGNS = r"\{name\}|%s|https://x\.org/a|😀"
PLACEHOLDERS = SIGNS.replace("%s", "%s(?![A-Za-z])")
links = st.lists(
    st.tuples(*[st.integers(0, 40)] * 4).map(lambda at: Link((min(at[:2]), max(at[:2])), (min(at[2:]), max(at[2:]))))
)


def take_apart(text: str, rules: Rules | None = None, terms: list[Term] | None = None) -> Document:
    return build(
        read_segments(text, rules),
        "en",
        escape=str if rules is None else escape_markup,
        glossary=Glossary(terms or []),
        count_tokens=lambda sentence: len(sentence.split()),
        limit_tokens=100,
    )


def markup(document: str) -> Counter[str]:
    return Counter(each.raw for each in cut(document) if each.kind != "text")


def squeezed(document: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(document))


@no_deadline
@given(st.one_of(st.text(), documents))
def test_a_plain_text_comes_back_byte_for_byte(text: str) -> None:
    document = take_apart(text)
    assert document.join(document.sentences) == text


@no_deadline
@given(st.one_of(st.text(), documents))
def test_a_page_comes_back_with_its_own_sentences(page: str) -> None:
    document = take_apart(page, HTML)
    back = document.join(document.sentences)
    assert squeezed(back) == squeezed(page)
    assert [each.raw for each in cut(back) if each.kind != "text"] == [
        each.raw for each in cut(page) if each.kind != "text"
    ]


@pytest.mark.parametrize(
    "page",
    [
        "<p  CLASS = 'a' >&nbsp;12 &mdash; 13\n\n<br   /></P><!-- Hello there. --><SCRIPT>say('Hello there.')</SCRIPT>",
        "<pre>Hello  there.\n</pre><code>Say hello.</code><style>p { }</style><textarea>Hello you.</textarea>",
        "<div translate='no'><p>Hello there.</p></div><p class='a notranslate b'>Hello <b>you</b>.</p>",
        "<svg><text>Hello there.</text></svg><!DOCTYPE html><?php echo 'Hello there.' ?>",
    ],
)
def test_what_is_not_to_be_translated_is_no_sentence(page: str) -> None:
    document = take_apart(page, HTML)
    assert (document.sentences, document.gaps) == ((), (page,))


def test_signs_after_several_spaces_take_one_of_them_along_and_no_character_twice() -> None:
    text = "a  1\ufe0f\u20e32\ufe0f\u20e3 b and c are here."
    document = take_apart(text)
    assert document.join(document.sentences) == text


@pytest.mark.parametrize(
    "number", ["&#" + "1" * 5000 + ";", "&#x" + "a" * 5000 + ";", "&#1114112;", "&" + "a" * 5000 + ";"]
)
def test_an_entity_that_is_none_is_text(number: str) -> None:
    page = f"<p>Hello there {number} my friend.</p>"
    document = take_apart(page, HTML)
    assert document.sentences
    assert document.join(document.sentences).replace("&amp;", "&") == page


def test_blocks_end_sentences_and_inline_tags_do_not() -> None:
    document = take_apart("<h1>The news</h1><ul><li>one dog<li>two <b>big</b> cats</ul>a line<br>a line", HTML)
    assert [sentence.text for sentence in document.sentences] == [
        "The news", "one dog", "two big cats", "a line", "a line",
    ]  # fmt: skip


def test_inline_code_and_emoji_stay_in_their_sentence() -> None:
    document = take_apart("<p>Type <kbd>y</kbd> and be happy &#128512; now.</p>", HTML)
    [sentence] = document.sentences
    assert sentence.text == "Type Tom and be happy now."
    assert [node.open for node in sentence.nodes] == ["<kbd>y</kbd>", " &#128512;"]


@no_deadline
@given(documents, st.text(alphabet="ab Tom.Boston", max_size=40), links)
def test_whatever_a_model_says_no_tag_is_lost_doubled_or_changed(page: str, said: str, pairs: list[Link]) -> None:
    document = take_apart(page, HTML)
    made = document.join([place(sentence, said, pairs) for sentence in document.sentences])
    assert markup(made) == markup(page)


@no_deadline
@given(st.text(alphabet="ab Tom", max_size=30), links)
def test_whatever_a_model_says_elements_stay_balanced(said: str, pairs: list[Link]) -> None:
    page = "See <b>the <i>red</i> {x}</b> and <a>a <u>dog</u></a> now <em>or <s>never</s></em>."
    [sentence] = take_apart(page, HTML).sentences
    stack = []
    for each in cut(place(sentence, said, pairs).render()):
        if each.kind == "open":
            stack.append(each.name)
        elif each.kind == "close":
            assert stack.pop() == each.name
    assert stack == []


@no_deadline
@example("Hello there{name}{name}&amp;%s.", "B", [Link((0, 0), (0, 0))])
@given(documents, st.text(alphabet="ab Tom.Boston", max_size=40), links)
def test_whatever_a_model_says_each_placeholder_is_there_once(text: str, said: str, pairs: list[Link]) -> None:
    document = take_apart(text)
    for sentence in document.sentences:
        held, most = (Counter(re.findall(each, sentence.render())) for each in (PLACEHOLDERS, SIGNS))
        # A letter that the model puts behind a "%s" takes nothing from it: the signs are counted, wherever they stand.
        made = Counter(re.findall(SIGNS, place(sentence, said, pairs).render()))
        assert held <= made <= most


@no_deadline
@given(st.text(alphabet="ab Tom", max_size=30), links)
def test_a_term_is_put_in_once(said: str, pairs: list[Link]) -> None:
    [sentence] = take_apart("The hard <b>disk</b> of a Hard  Disk.", None, [Term("hard disk", "PLATTE")]).sentences
    assert place(sentence, said, pairs).render().count("PLATTE") == 1


def test_things_go_where_their_words_went() -> None:
    source = "the <b>red</b> house of {name} 😀 now"
    [sentence] = take_apart(source, HTML).sentences
    assert sentence.text == "the red house of Tom now"
    said = "Toms rotes Haus jetzt"
    words = [((0, 4), (17, 20)), ((5, 10), (4, 7)), ((11, 15), (8, 13)), ((16, 21), (21, 24))]
    made = place(sentence, said, [Link(*spans) for spans in words])
    assert made.render() == "{name} 😀 <b>rotes</b> Haus jetzt"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("%d files in %s.", "35 files in Tom."),
        ("You have :count messages, {name}.", "You have 35 messages, Tom."),
        ("{n} of {{totalCount}} pages", "35 of 48 pages"),
        ("%1$d users, %(num)d friends", "35 users, 48 friends"),
        ("${item_count} new", "35 new"),
        ("{action} of {country}", "Tom of Boston"),
        ("%d files in 2 folders", "Tom files in 2 folders"),
    ],
)
def test_a_numeral_stands_for_a_number_and_a_name_for_other_placeholders(text: str, read: str) -> None:
    [sentence] = take_apart(text).sentences
    assert sentence.text == read
    assert place(sentence, read).render() == text


def test_a_numeral_within_another_number_is_not_taken_for_a_placeholder() -> None:
    [sentence] = take_apart("%d files").sentences
    assert place(sentence, "1935 oder 35 Dateien").render() == "1935 oder %d Dateien"
    assert place(sentence, "3500 Dateien, 35").render() == "3500 Dateien, %d"


def test_placeholders_without_a_name_keep_their_order() -> None:
    [sentence] = take_apart("I give %s the %d books.").sentences
    assert place(sentence, "35 Bücher gebe ich Tom.").render() == "%s Bücher gebe ich %d."
    [named] = take_apart("I give {who} the {what} books.").sentences
    assert place(named, "Boston Bücher gebe ich Tom.").render() == "{what} Bücher gebe ich {who}."


def test_a_name_that_came_out_twice_is_written_once() -> None:
    [sentence] = take_apart("I see {a} here.").sentences
    assert place(sentence, "Tom, ich sehe Tom hier.").render().count("{a}") == 1
    assert "Tom" not in place(sentence, "Tom, ich sehe Tom hier.").render()


def test_a_name_of_the_sentences_own_stands_for_nothing() -> None:
    [sentence] = take_apart("Tom sees {a} here.").sentences
    assert sentence.text.count("Tom") == 1
    assert place(sentence, "Tom sieht Boston hier.").render() == "Tom sieht {a} hier."


def test_text_of_a_page_is_escaped_and_its_markup_is_not() -> None:
    [sentence] = take_apart("<b>Fish</b> &amp; chips &lt; all", HTML).sentences
    assert sentence.text == "Fish & chips < all"
    document = Document((sentence,), ("", ""), escape=escape_markup)
    assert document.join([place(sentence, "Fisch & Chips < alle")]) == "<b>Fisch</b> &amp; Chips &lt; alle"
    assert Marked("a < b").render() == "a < b"


@pytest.mark.parametrize(
    ("rules", "sentences"),
    [
        (Rules(is_xml=True), ["The title", "A bold word here."]),
        (Rules(is_xml=True, outline=False), ["The titleA bold word here."]),
        (Rules(is_xml=True, outline=False, splitting=["p"]), ["The title", "A bold word here."]),
        (Rules(is_xml=True, splitting=["b"]), ["The title", "bold", "word here."]),
        (Rules(is_xml=True, ignored=["b"]), ["The title", "A Tom word here."]),
        (Rules(is_xml=True, ignored=["t"]), ["A bold word here."]),
        (Rules(is_xml=True, non_splitting=["t", "p"]), ["The titleA bold word here."]),
    ],
)
def test_in_xml_the_rules_say_what_splits(rules: Rules, sentences: list[str]) -> None:
    page = "<d><t>The title</t><p>A <b>bold</b> word here.</p></d>"
    document = take_apart(page, rules)
    assert [sentence.text for sentence in document.sentences] == sentences
    assert document.join(document.sentences) == page
