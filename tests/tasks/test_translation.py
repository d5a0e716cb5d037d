import pytest

from server.errors import InvalidValue
from server.serving.registry import ModelRegistry
from server.tasks.translation.markup import Rules, cut
from server.tasks.translation.placeholders import Term
from server.tasks.translation.progress import TranslationOptions

pytestmark = pytest.mark.anyio

DOCUMENT = "Good morning.\n\n  - I have a dog.\n  - https://example.com/a?b=1\n\n\tHe is here. She is there.\n"


async def test_paragraphs_markers_and_spacing_come_back_as_they_were(registry: ModelRegistry) -> None:
    done = await registry.translator(None).translate([DOCUMENT], "en", "de")
    text = done.items[0].text
    assert [len(line) - len(line.lstrip()) for line in text.split("\n")] == [
        len(line) - len(line.lstrip()) for line in DOCUMENT.split("\n")
    ]
    assert "  - https://example.com/a?b=1\n" in text
    assert text.endswith("\n")


async def test_the_streamed_parts_are_the_whole_translation(registry: ModelRegistry) -> None:
    task = registry.translator(None)
    texts = [DOCUMENT, "Yes.", ""]
    run = await task.begin(texts, "en", "fr")
    parts = [""] * len(texts)
    async for part in run:
        parts[part.index] += part.text
    assert parts == [item.text for item in run.done().items]
    assert parts == [item.text for item in (await task.translate(texts, "en", "fr")).items]


async def test_each_text_has_its_own_language_detected(registry: ModelRegistry) -> None:
    texts = ["Ich habe heute leider keine Zeit.", "I do not have any time today.", "12345"]
    done = await registry.translator(None).translate(texts, None, "en")
    assert [item.source for item in done.items] == ["de", "en", "und"]
    assert [item.text for item in done.items][1:] == texts[1:]
    assert done.items[0].text != texts[0]


async def test_a_pair_that_no_pass_serves_goes_through_a_pivot(registry: ModelRegistry) -> None:
    task = registry.translator(None)
    done = await task.translate(["Das ist ein Hund."], "de", "fr")
    english = (await task.translate(["Das ist ein Hund."], "de", "en")).items[0].text
    assert done.items[0].text == (await task.translate([english], "en", "fr")).items[0].text


async def test_alternatives_are_other_translations(registry: ModelRegistry) -> None:
    done = await registry.translator(None).translate(
        ["Where is the station?"], "en", "de", TranslationOptions(alternatives=3)
    )
    assert len({done.items[0].text, *done.items[0].alternatives}) > 1
    assert len(done.items[0].alternatives) == 3


async def test_a_row_does_not_depend_on_its_neighbours(registry: ModelRegistry) -> None:
    task = registry.translator(None)
    texts = ["I have a cat.", "The weather is very nice today and we are going to the beach.", "No."]
    together = [item.text for item in (await task.translate(texts, "en", "es")).items]
    alone = [(await task.translate([text], "en", "es")).items[0].text for text in texts]
    assert together == alone


@pytest.mark.parametrize(("source", "target"), [("en", "xx"), ("xx", "de")])
async def test_an_unknown_language_is_refused_by_name(registry: ModelRegistry, source: str, target: str) -> None:
    with pytest.raises(InvalidValue, match="xx"):
        await registry.translator(None).translate(["Hello."], source, target)


async def test_confidence_is_a_probability(registry: ModelRegistry) -> None:
    done = await registry.translator(None).translate(["Good morning.", "..."], "en", "de")
    assert 0 < done.items[0].confidence < 1
    assert done.items[1].confidence == 1.0


@pytest.mark.parametrize("target", ["de", "fr", "es"])
async def test_placeholders_addresses_and_emoji_come_through_once(registry: ModelRegistry, target: str) -> None:
    held = [
        "{name}",
        "%s",
        "${count}",
        "https://example.com/a?b=1",
        "bob@example.com",
        "\U0001f600",
        "`ls`",
        "<b>",
        "</b>",
    ]
    text = (
        "Hello {name}, I am here. You have %s of ${count} new messages. Open https://example.com/a?b=1 or write to "
        "bob@example.com today 😀 please. Use `ls` to see <b>all files</b> here."
    )
    made = (await registry.translator(None).translate([text], "en", target)).items[0].text
    assert [made.count(each) for each in held] == [1] * len(held)


async def test_a_page_keeps_its_markup_through_a_pivot(registry: ModelRegistry) -> None:
    page = "<p class=a>Das ist <b>ein <i>Hund</i></b>.<br>Er wohnt <a href='x?a&b'>hier</a> &amp; da.</p><!-- Hund -->"
    options = TranslationOptions(rules=Rules())
    item = (await registry.translator(None).translate([page], "de", "fr", options)).items[0]
    tags = [each.raw for each in cut(page) if each.kind != "text"]
    assert sorted(each.raw for each in cut(item.text) if each.kind != "text") == sorted(tags)
    assert "Hund</i>" not in item.text
    assert item.pivot == "en"


async def test_terms_are_put_in_and_names_are_left(registry: ModelRegistry) -> None:
    options = TranslationOptions(glossary=[Term("dog", "Köter"), Term("Blue Sky", "Blue Sky")])
    done = await registry.translator(None).translate(["I see the dog of Blue Sky."], "en", "de", options)
    assert done.items[0].text.count("Köter") == 1
    assert done.items[0].text.count("Blue Sky") == 1


async def test_the_beam_size_is_that_of_the_request(registry: ModelRegistry) -> None:
    task = registry.translator(None)
    texts = ["Despite the heavy rain the farmers had already brought in most of the harvest.", "Take it or leave it."]
    greedy = await task.translate(texts, "en", "de", TranslationOptions(beam_size=1))
    wide = await task.translate(texts, "en", "de", TranslationOptions(beam_size=5))
    assert len(greedy.items) == len(wide.items) == 2
    assert [item.confidence for item in greedy.items] != [item.confidence for item in wide.items]
